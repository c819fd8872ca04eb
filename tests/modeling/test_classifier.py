"""Invariant 1: a clip's logits do not depend on what it is batched or padded with."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from videoclf.errors import RecipeInvalidError
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.classifier import VideoClassifier, build_backbone, build_classifier
from videoclf.modeling.padding import length_mask, pad_sequences
from videoclf.modeling.temporal.gru import TemporalModel
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.temporal import Temporal

ATOL, RTOL = 1e-5, 1e-5  # float32 sums in another order

temporal_settings = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["gru", "gru", "mean"]),
        "pooling": st.sampled_from(["last", "mean", "attention"]),
        "bidirectional": st.booleans(),
        "num_layers": st.integers(1, 3),
        "projection_size": st.sampled_from([0, 32]),
        "statistics": st.booleans(),
        "input_norm": st.sampled_from(["layer", "standardise"]),
    }
)

BACKBONES: list[dict[str, Any]] = [
    {"name": "resnet18"},
    {"name": "mobilenet_v2"},
    {"name": "mobilenet_v2", "intermediate_stage_from_top": 5},
    {"name": "efficientnet_b0"},
    {"name": "convnext_tiny"},
    {"name": "regnet_y_400mf"},
    {"name": "r3d_18", "temporal_stride": 2},
    {"name": "mc3_18"},
    {"name": "r2plus1d_18"},
    {"name": "r2plus1d_18", "temporal_stride": 8},
    {"name": "s3d"},
    {"name": "s3d", "temporal_stride": 4},
    {"name": "inflated:tiny"},
    {"name": "inflated:mobilenet_v2"},
    {"name": "inflated:convnext_tiny"},
]
"""One of each kind; 32×32 pixels keep them fast."""


def logits_alone(model: VideoClassifier, clip: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(clip[None], torch.tensor([len(clip)]))
    return logits


def logits_of(model: VideoClassifier, clips: list[Tensor]) -> Tensor:
    """In one padded pass, as on a GPU: on a CPU, clips meet a 3D network one by one."""
    batch = pad_sequences(clips)
    with torch.inference_mode():
        if isinstance(model.backbone, ClipBackbone):
            return model.classify(*model.backbone.run_padded(*batch))
        logits: Tensor = model(*batch)
    return logits


def assert_alone_or_in_a_batch_the_same(model: VideoClassifier, clips: list[Tensor]) -> None:
    alone = torch.cat([logits_alone(model, clip) for clip in clips])
    torch.testing.assert_close(logits_of(model, clips), alone, atol=ATOL, rtol=RTOL)


@settings(max_examples=25)
@given(temporal_settings, st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 2**31))
def test_alone_or_in_a_batch_the_same(temporal: dict[str, Any], lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    recipe = Recipe.model_validate({"backbone": {"name": "tiny"}, "temporal": temporal})
    model = build_classifier(recipe, 7).eval()
    assert_alone_or_in_a_batch_the_same(model, [torch.randn(length, 3, 32, 32) for length in lengths])


@functools.lru_cache(maxsize=1)
def backbone_of(index: int) -> Backbone:
    return build_backbone(Recipe.model_validate({"backbone": BACKBONES[index]})).eval()


@pytest.mark.parametrize("index", range(len(BACKBONES)), ids=lambda i: "-".join(map(str, BACKBONES[i].values())))
@settings(max_examples=6)
@given(temporal_settings, st.lists(st.integers(1, 11), min_size=2, max_size=4), st.integers(0, 2**31))
def test_alone_or_in_a_batch_the_same_behind_every_backbone(
    index: int, temporal: dict[str, Any], lengths: list[int], seed: int
) -> None:
    torch.manual_seed(seed)
    backbone = backbone_of(index)
    spec = Temporal.model_validate(temporal)
    temporal_model = TemporalModel(backbone.feature_size, spec)
    model = VideoClassifier(backbone, temporal_model, nn.Linear(temporal_model.output_size, 7)).eval()
    assert_alone_or_in_a_batch_the_same(model, [torch.randn(length, 3, 32, 32) for length in lengths])


@pytest.mark.parametrize("name", ["r2plus1d_18", "inflated:mobilenet_v2"])
def test_clip_by_clip_equals_the_padded_pass(name: str) -> None:
    backbone = build_backbone(Recipe.model_validate({"backbone": {"name": name}})).eval()
    assert isinstance(backbone, ClipBackbone)
    batch = pad_sequences([torch.randn(length, 3, 32, 32) for length in (1, 9, 4)])
    with torch.inference_mode():
        (features, num_steps), (padded, num_padded) = backbone(*batch), backbone.run_padded(*batch)
    torch.testing.assert_close(features, padded, atol=ATOL, rtol=RTOL)
    assert torch.equal(num_steps, num_padded)


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
    recipe = Recipe.model_validate({"backbone": {"name": "tiny"}})
    padded, unpadded = build_backbone(recipe), build_backbone(recipe)
    unpadded.load_state_dict(padded.state_dict())
    padded.train()(*pad_sequences([short, long]))
    unpadded.train()(torch.cat([short, long])[None], torch.tensor([11]))
    for name, statistic in padded.state_dict().items():
        torch.testing.assert_close(statistic, unpadded.state_dict()[name], msg=name)


@pytest.mark.parametrize("name", ["tiny", "mobilenet_v2", "resnet18"])
def test_a_2d_network_is_trained_channels_last(name: str) -> None:
    """Every map and every weight's gradient: where one falls out of it, the rest is converted to and fro."""
    classifier = build_classifier(Recipe.model_validate({"backbone": {"name": name}}), 2).train()
    convolutions = [layer for layer in classifier.modules() if isinstance(layer, nn.Conv2d)]
    maps: list[Tensor] = []
    for layer in convolutions:
        layer.register_forward_hook(lambda _layer, _inputs, output: maps.append(output))
    classifier(torch.randn(1, 4, 3, 64, 64), torch.tensor([4])).sum().backward()
    weights = [layer.weight for layer in convolutions]
    seen = [*maps, *weights, *(weight.grad for weight in weights if weight.grad is not None)]
    assert len(seen) == 3 * len(convolutions)
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen)


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
    ("name", "feature_size"),
    [("tiny", 432), ("mobilenet_v2", 1280), ("resnet18", 512), ("resnet50", 2048), ("efficientnet_b0", 1280),
     ("convnext_tiny", 768), ("regnet_y_400mf", 440), ("mobilenet_v3_large", 960), ("r2plus1d_18", 512), ("s3d", 1024),
     ("inflated:tiny", 432), ("inflated:resnet18", 512)],
)  # fmt: skip
def test_backbones_tell_their_feature_size(name: str, feature_size: int) -> None:
    backbone = build_backbone(Recipe.model_validate({"backbone": {"name": name}})).eval()
    with torch.inference_mode():
        features, num_steps = backbone(torch.randn(1, 2, 3, 64, 64), torch.tensor([2]))
    assert backbone.feature_size == features.shape[2] == feature_size
    assert num_steps.tolist() == [2]


@pytest.mark.parametrize("name", ["resnet18", "r2plus1d_18", "s3d", "inflated:mobilenet_v2"])
def test_a_single_frame_can_be_trained_on(name: str) -> None:
    model = build_classifier(Recipe.model_validate({"backbone": {"name": name}}), 3).train()
    assert model(torch.randn(1, 1, 3, 32, 32), torch.tensor([1])).isfinite().all()
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["tiny", "inflated:tiny"])
def test_what_follows_a_single_frame_does_not_change_its_gradient(name: str) -> None:
    """It is normalised by running statistics, which the next batch changes before the first has gone back."""
    frame, others = (torch.randn(num_clips, num_clips, 3, 16, 16) for num_clips in (1, 4))
    gradients = []
    for is_followed in (False, True):
        torch.manual_seed(0)
        backbone = build_backbone(Recipe.model_validate({"backbone": {"name": name}})).train()
        features, _ = backbone(frame, torch.tensor([1]))
        if is_followed:
            backbone(others, torch.full((4,), 4))
        features.square().sum().backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=0)


def test_a_custom_backbone_is_asked_for() -> None:
    recipe = Recipe.model_validate({"backbone": {"name": "custom"}})
    with pytest.raises(RecipeInvalidError, match=r"must be passed in from Python: videoclf.train\(..., backbone=...\)"):
        build_classifier(recipe, 3)


def test_a_backbone_that_the_recipe_does_not_ask_for_is_refused() -> None:
    backbone = FrameBackbone(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3)
    with pytest.raises(RecipeInvalidError, match="name = 'mobilenet_v2': a backbone was given"):
        build_classifier(Recipe(), 3, backbone)
    with pytest.raises(TypeError, match="expected a FrameBackbone or a ClipBackbone around the network, got a Linear"):
        build_classifier(Recipe.model_validate({"backbone": {"name": "custom"}}), 3, nn.Linear(3, 3))  # type: ignore[arg-type]
    strided = {"backbone": {"name": "custom", "temporal_stride": 2}}
    with pytest.raises(RecipeInvalidError, match="temporal_stride = 2: the given backbone has 1"):
        build_classifier(Recipe.model_validate(strided), 3, backbone)
    two_views = {"backbone": {"name": "custom"}, "preprocess": {"channels": ["rgb", "gray_triplet"]}}
    with pytest.raises(RecipeInvalidError, match="takes 1; give it num_views=2"):
        build_classifier(Recipe.model_validate(two_views), 3, backbone)
