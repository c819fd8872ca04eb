"""Small networks of every kind that must be exported right, with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from videoclf.errors import EngineUnavailableError
from videoclf.inference.engines.openvino_graph import import_openvino
from videoclf.media.frames import RgbFrames, UInt8Array
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.header import Calibration, ModelHeader
from videoclf.recipe.recipe import Recipe

LABELS = ("a", "b", "c")

RECIPES: dict[str, dict[str, Any]] = {
    "2d": {
        "preprocess": {"fit": "crop", "crop_margin": 1.143, "channels": ["rgb", "gray_triplet", "difference"]},
        "backbone": {"name": "tiny", "frozen": True},
        "temporal": {"bidirectional": True, "pooling": "attention", "statistics": True, "input_norm": "standardise"},
        "head": {"ridge": True},
        "testing": {"horizontal_flip": True},
    },
    "2d, last": {"backbone": {"name": "tiny"}, "temporal": {"num_layers": 2, "pooling": "last"}},
    "2d, shifted": {"backbone": {"name": "mobilenet_v2", "temporal_shift": True}, "temporal": {"kind": "mean"}},
    "3d": {
        "preprocess": {"fit": "stretch", "channels": ["rgb", "difference"]},
        "backbone": {"name": "custom", "temporal_stride": 2},
        "temporal": {"bidirectional": True, "pooling": "mean"},
        "testing": {"horizontal_flip": True},
    },
}  # fmt: skip


def small_model(kind: str, **changes: Any) -> tuple[VideoClassifier, ModelHeader]:
    """A classifier of that recipe, 32×40 pixels, and its header."""
    tree = RECIPES[kind] | changes
    recipe = Recipe.model_validate({**tree, "preprocess": {"height": 32, "width": 40, **tree.get("preprocess", {})}})
    backbone = None
    if recipe.backbone.name == "custom":
        network = nn.Sequential(nn.Conv3d(3, 8, 3, (2, 4, 4), 1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(3, 1, 1))
        backbone = ClipBackbone(network, 8, temporal_stride=2, num_views=2)
    classifier = build_classifier(recipe, len(LABELS), backbone).eval().requires_grad_(False)
    for module in classifier.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.3)  # so that clips get scores that differ
    if classifier.ridge is not None:
        nn.init.normal_(classifier.ridge.weight, std=0.1)
    header = ModelHeader(name=kind, recipe=recipe, labels=LABELS, calibration=Calibration(temperature=2.0))
    return classifier, header


def openvino_or_skip() -> Any:
    """The package; a test that needs it is skipped where it is not."""
    try:
        return import_openvino()
    except EngineUnavailableError as error:
        return pytest.skip(str(error))


def noise(num_frames: int, height: int, width: int) -> UInt8Array:
    """``T×H×W×3``."""
    return torch.randint(0, 256, (num_frames, height, width, 3), dtype=torch.uint8).numpy()


def chunks(rgb: UInt8Array) -> Iterator[RgbFrames]:
    """As the reader hands them on."""
    for part in np.array_split(rgb, max(1, len(rgb) // 7)):
        yield RgbFrames(part, np.arange(len(part), dtype=np.float64), "noise")
