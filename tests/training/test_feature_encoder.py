"""A frozen backbone as a maker of features, and the views it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from videoclf.modeling.classifier import build_classifier
from videoclf.recipe.recipe import Recipe
from videoclf.training.feature_encoder import make_encoder


def recipe_with(**augment: Any) -> Recipe:
    sizes = {"height": 32, "width": 32}
    return Recipe.model_validate(
        {"backbone": {"name": "tiny", "frozen": True}, "preprocess": sizes, "augment": augment}
    )


def test_varied_pictures_are_kept_as_further_views_of_a_clip() -> None:
    recipe = recipe_with(brightness=0.5, stored_views=3)
    encoder = make_encoder(build_classifier(recipe, 2).eval(), recipe)
    views = encoder.encode(torch.rand(4, 3, 32, 32), content_sha256="ab", window=0)
    assert len(views) == len(encoder.views) == 4
    assert all(not np.allclose(one, views[0]) for one in views[1:])


def test_what_the_steps_alone_decide_makes_no_other_features() -> None:
    classifier = build_classifier(recipe_with(), 2).eval()
    encoders = [make_encoder(classifier, recipe_with(brightness=0.5, speed=speed)) for speed in (0, 0.5)]
    assert encoders[0].views == encoders[1].views
    assert len(make_encoder(classifier, recipe_with(speed=0.5)).views) == 1
