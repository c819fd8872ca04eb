"""Folding changes nothing but the time."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.backbones.stages import backbone_stages
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.recipe import Recipe


def classifier_of(name: str, **backbone: object) -> VideoClassifier:
    """With batch norms that have seen something."""
    torch.manual_seed(0)
    classifier = build_classifier(Recipe.model_validate({"backbone": {"name": name, **backbone}}), 5)
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return classifier.eval()


def batch_norms(classifier: VideoClassifier) -> int:
    return sum(isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) for module in classifier.modules())


@pytest.mark.parametrize("name", ["tiny", "mobilenet_v2", "resnet18", "efficientnet_b0", "regnet_y_400mf"])
@torch.inference_mode()
def test_features_agree_to_rounding(name: str) -> None:
    classifier = classifier_of(name)
    folded = fold_batch_norms(classifier)
    assert batch_norms(folded) == 0 < batch_norms(classifier)
    clips, num_frames = torch.randn(2, 3, 3, 64, 64), torch.tensor([3, 2])
    expected, found = classifier.encode(clips, num_frames)[0], folded.encode(clips, num_frames)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "backbone",
    [
        {"name": "mobilenet_v2", "temporal_shift": True},
        {"name": "resnet18", "temporal_shift": True},
        {"name": "r2plus1d_18", "temporal_stride": 2},
        {"name": "s3d"},
        {"name": "inflated:mobilenet_v2"},
    ],
    ids=lambda backbone: backbone["name"],
)
@torch.inference_mode()
def test_what_sees_time_is_folded_too(backbone: dict[str, Any]) -> None:
    """In one padded pass as well, as on a GPU."""
    classifier = classifier_of(**backbone)
    folded = fold_batch_norms(classifier)
    assert batch_norms(folded) == 0 < batch_norms(classifier)
    num_stages = [len(backbone_stages(network.backbone)) for network in (classifier, folded)]  # type: ignore[arg-type]
    assert num_stages[0] == num_stages[1]  # it is placed stage by stage
    clips, num_frames = torch.randn(2, 5, 3, 32, 32), torch.tensor([5, 2])
    passes = [network.backbone for network in (classifier, folded)]
    if isinstance(classifier.backbone, ClipBackbone):
        passes += [cast(Any, network).run_padded for network in passes]
    for truth, run in zip(passes[::2], passes[1::2], strict=True):
        expected, found = truth(clips, num_frames)[0], run(clips, num_frames)[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_what_is_folded_can_be_trained_on() -> None:
    classifier = classifier_of("tiny")
    fold_batch_norms(classifier)
    assert all(parameter.requires_grad for parameter in classifier.parameters())


def test_what_has_nothing_to_fold_stays_as_it_is() -> None:
    classifier = classifier_of("convnext_tiny")
    assert fold_batch_norms(classifier) is classifier


def test_a_network_that_cannot_be_followed_is_run_as_it_is() -> None:
    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, frames: Tensor) -> Tensor:
            maps: Tensor = self.norm(self.conv(frames))
            return maps.amax((2, 3)) if maps.sum() > 0 else maps.mean((2, 3))

    recipe = Recipe.model_validate({"backbone": {"name": "custom"}})
    classifier = build_classifier(recipe, 2, FrameBackbone(Moody(), 4)).eval()
    assert fold_batch_norms(classifier) is classifier
