from __future__ import annotations

import numpy as np
import torch

from videoclf.inference.engines.torch_engine import TorchEngine
from videoclf.modeling.classifier import build_classifier
from videoclf.recipe.recipe import Recipe


def test_mirrored_too_a_clip_and_its_mirror_image_get_the_same_logits() -> None:
    preprocess = {"height": 32, "width": 32}
    once, twice = (
        Recipe.model_validate({"preprocess": preprocess, "backbone": {"name": "tiny"}, "testing": testing})
        for testing in ({}, {"horizontal_flip": True})
    )
    torch.manual_seed(0)
    classifier = build_classifier(once, 3).eval()
    windows = [torch.randn(length, 3, 32, 32) for length in (5, 9)]
    mirrored = [window.flip(-1) for window in windows]
    plain, flipped = (TorchEngine(classifier, once, "cpu").logits(clips) for clips in (windows, mirrored))
    assert np.abs(plain - flipped).max() > 1e-4
    both = TorchEngine(classifier, twice, "cpu").logits(windows)
    np.testing.assert_allclose(both, (plain + flipped) / 2, atol=1e-6)
    np.testing.assert_allclose(both, TorchEngine(classifier, twice, "cpu").logits(mirrored), atol=1e-6)
