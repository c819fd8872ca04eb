"""Invariant 1: a clip's logits do not depend on what it is batched or padded with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from videoclf.modeling.backbone2d import FrameBackbone, build_backbone
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.modeling.sequences import length_mask, pad_sequences
from videoclf.modeling.temporal import TemporalModel
from videoclf.recipe.recipe import Recipe, Temporal

ATOL, RTOL = 1e-5, 1e-5  # float32 sums in another order

temporal_settings = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["gru", "gru", "mean"]),
        "pooling": st.sampled_from(["last", "mean", "attention"]),
        "bidirectional": st.booleans(),
        "num_layers": st.integers(1, 3),
    }
)


def logits_of(model: VideoClassifier, clips: list[Tensor]) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(*pad_sequences(clips))
    return logits


@settings(max_examples=25)
@given(temporal_settings, st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 2**31))
def test_alone_or_in_a_batch_the_same(temporal: dict[str, Any], lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    recipe = Recipe.model_validate({"backbone": {"name": "tiny"}, "temporal": temporal})
    model = build_classifier(recipe, 7).eval()
    clips = [torch.randn(length, 3, 32, 32) for length in lengths]
    alone = torch.cat([logits_of(model, [clip]) for clip in clips])
    torch.testing.assert_close(logits_of(model, clips), alone, atol=ATOL, rtol=RTOL)


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_alone_or_in_a_batch_the_same_behind_the_large_backbones(name: str) -> None:
    recipe = Recipe.model_validate({"backbone": {"name": name}, "temporal": {"bidirectional": True}})
    model = build_classifier(recipe, 7).eval()
    clips = [torch.randn(length, 3, 64, 64) for length in (1, 9, 4)]
    alone = torch.cat([logits_of(model, [clip]) for clip in clips])
    torch.testing.assert_close(logits_of(model, clips), alone, atol=ATOL, rtol=RTOL)


@pytest.mark.parametrize("junk", [1e30, torch.nan])
def test_what_lies_beyond_a_clips_length_is_never_looked_at(tiny_recipe: Recipe, junk: float) -> None:
    model = build_classifier(tiny_recipe, 4).eval()
    clips, num_frames = pad_sequences([torch.randn(3, 3, 48, 48), torch.randn(8, 3, 48, 48)])
    spoilt = clips.clone()
    spoilt[~length_mask(num_frames, 8)] = junk
    with torch.inference_mode():
        torch.testing.assert_close(model(spoilt, num_frames), model(clips, num_frames), atol=0, rtol=0)


def test_in_training_batch_norm_does_not_see_padding() -> None:
    short, long = torch.randn(2, 3, 32, 32), torch.randn(9, 3, 32, 32)
    padded, unpadded = build_backbone("tiny"), build_backbone("tiny")
    unpadded.load_state_dict(padded.state_dict())
    padded.train()(*pad_sequences([short, long]))
    unpadded.train()(torch.cat([short, long])[None], torch.tensor([11]))
    for name, statistic in padded.state_dict().items():
        torch.testing.assert_close(statistic, unpadded.state_dict()[name], msg=name)


def test_a_frozen_backbone_stays_in_evaluation_mode() -> None:
    recipe = Recipe.model_validate({"backbone": {"name": "tiny", "frozen": True}})
    model = build_classifier(recipe, 3)
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    model.train()(torch.randn(1, 4, 3, 32, 32), torch.tensor([4]))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.backbone.state_dict().items())


def test_views_run_through_one_network_and_stand_side_by_side() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    features, _ = FrameBackbone(network, 3, num_views=2)(torch.randn(1, 5, 6, 8, 8), torch.tensor([5]))
    single, _ = FrameBackbone(network, 3)(torch.randn(1, 5, 3, 8, 8), torch.tensor([5]))
    assert features.shape == (1, 5, 6)
    assert single.shape == (1, 5, 3)


def test_views_are_the_channels_three_by_three() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    clips = torch.randn(2, 5, 6, 8, 8)
    features, _ = FrameBackbone(network, 3, num_views=2)(clips, torch.tensor([5, 5]))
    torch.testing.assert_close(features, clips.mean(dim=(3, 4)))


def test_a_users_own_parts_need_no_registration() -> None:
    backbone = FrameBackbone(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), 12)
    temporal = TemporalModel(backbone.feature_size, Temporal(hidden_size=8))
    model = VideoClassifier(backbone, temporal, nn.Linear(8, 5))
    assert model(*pad_sequences([torch.randn(3, 3, 16, 16), torch.randn(6, 3, 16, 16)])).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "feature_size"), [("tiny", 432), ("mobilenet_v2", 1280), ("resnet18", 512), ("resnet50", 2048)]
)
def test_backbones_tell_their_feature_size(name: str, feature_size: int) -> None:
    backbone = build_backbone(name).eval()
    with torch.inference_mode():
        features, num_steps = backbone(torch.randn(1, 2, 3, 64, 64), torch.tensor([2]))
    assert backbone.feature_size == features.shape[2] == feature_size
    assert num_steps.tolist() == [2]


def test_a_single_frame_can_be_trained_on() -> None:
    model = build_classifier(Recipe.model_validate({"backbone": {"name": "resnet18"}}), 3).train()
    assert model(torch.randn(1, 1, 3, 32, 32), torch.tensor([1])).isfinite().all()
    assert all(module.training for module in model.modules())
