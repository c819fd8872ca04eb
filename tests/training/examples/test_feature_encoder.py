"""A frozen backbone as a maker of features, and the views it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from videoclf.media.frames import RgbFrames
from videoclf.media.options import ReadOptions
from videoclf.modeling.classifier import build_classifier
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.feature_encoder import make_encoder
from videoclf.training.examples.resizer import DeviceResizer


def recipe_with(**augment: Any) -> Recipe:
    sizes = {"height": 32, "width": 32}
    return Recipe.model_validate(
        {"backbone": {"name": "tiny", "frozen": True}, "preprocess": sizes, "augment": augment}
    )


def test_varied_pictures_are_kept_as_further_views_of_a_clip() -> None:
    recipe = recipe_with(brightness=0.5, cached_views=3)
    encoder = make_encoder(build_classifier(recipe, 2).eval(), recipe)
    views = encoder.encode(torch.rand(4, 3, 32, 32), content_sha256="ab", window=0, views=range(len(encoder.views)))
    assert len(views) == len(encoder.views) == 4
    assert all(not np.allclose(one, views[0]) for one in views[1:])


@pytest.mark.parametrize("name", ["speed", "temporal_jitter", "mixup_alpha", "cutmix_alpha"])
def test_what_changes_no_picture_makes_no_other_features(name: str) -> None:
    classifier = build_classifier(recipe_with(), 2).eval()
    encoders = [make_encoder(classifier, recipe_with(brightness=0.5, **{name: value})) for value in (0, 0.5)]
    assert encoders[0].views == encoders[1].views
    assert len(make_encoder(classifier, recipe_with(**{name: 0.5})).views) == 1


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_a_gpu_prepares_what_the_cpu_does(device: str) -> None:
    """Within a grey level on a GPU; a CPU in its place has the same bits."""
    recipe = recipe_with(brightness=0.5, cached_views=2)
    frames = torch.randint(0, 256, (20, 45, 61, 3), dtype=torch.uint8).numpy()
    chunks = [RgbFrames(part, np.arange(float(len(part))), "x") for part in (frames[:16], frames[16:])]
    here = make_encoder(build_classifier(recipe, 2).eval(), recipe)
    resizer = DeviceResizer(recipe.preprocess, torch.device(device), lambda _text: None)
    there = make_encoder(build_classifier(recipe, 2).eval().to(device), recipe, resizer)
    expected, found = here.resizer(iter(chunks)), there.resizer(iter(chunks))
    assert found.device.type == device
    assert float((found.cpu() - expected).abs().max()) <= (0 if device == "cpu" else 1 / 255)
    views = there.encode(found, content_sha256="ab", window=0, views=range(len(there.views)))
    assert all(view.shape == views[0].shape for view in views)


def test_features_of_a_gpu_name_who_prepared_the_frames() -> None:
    recipe = recipe_with()
    encoder = make_encoder(build_classifier(recipe, 2).eval(), recipe)
    assert "prepared" not in encoder.settings(ReadOptions())[0].engine
    encoder.resizer = DeviceResizer(recipe.preprocess, torch.device("cpu"), lambda _text: None)
    assert encoder.settings(ReadOptions())[0].engine.endswith(", prepared by torch")
