"""Features from the middle of a network beside those of its top."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import adaptive_avg_pool2d

from videoclf.errors import RecipeInvalidError
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import build_backbone, build_classifier
from videoclf.recipe.recipe import Recipe


def recipe_of(name: str, intermediate_stage_from_top: int | None, **more: object) -> Recipe:
    return Recipe.model_validate(
        {"backbone": {"name": name, "intermediate_stage_from_top": intermediate_stage_from_top, **more}}
    )


def tapped_and_plain(name: str, intermediate_stage_from_top: int) -> tuple[FrameBackbone, FrameBackbone]:
    """The same weights in both: their names do not change."""
    tapped, plain = build_backbone(recipe_of(name, intermediate_stage_from_top)), build_backbone(recipe_of(name, None))
    assert isinstance(tapped, FrameBackbone)
    assert isinstance(plain, FrameBackbone)
    plain.load_state_dict(tapped.state_dict())
    return tapped.eval(), plain.eval()


@pytest.mark.parametrize("name", ["tiny", "mobilenet_v2", "resnet18", "resnet50", "efficientnet_b0", "convnext_tiny"])
@torch.inference_mode()
def test_the_tops_features_come_first_and_are_what_they_were(name: str) -> None:
    tapped, plain = tapped_and_plain(name, 2)
    clips, num_frames = torch.randn(2, 3, 3, 64, 64), torch.tensor([3, 2])
    features = tapped(clips, num_frames)[0]
    assert features.shape[2] == tapped.feature_size > plain.feature_size
    assert torch.equal(features[:, :, : plain.feature_size], plain(clips, num_frames)[0])


@torch.inference_mode()
def test_the_stages_maps_follow_averaged_over_the_grid() -> None:
    tapped, plain = tapped_and_plain("mobilenet_v2", 5)
    frames = torch.randn(2, 3, 96, 96)
    maps = plain.network[0][:14](frames)  # type: ignore[index]
    assert tapped.feature_size == 1280 + 96 * 9
    torch.testing.assert_close(tapped.network(frames)[:, 1280:], adaptive_avg_pool2d(maps, 3).flatten(1))


@torch.inference_mode()
def test_batch_norms_fold_as_ever() -> None:
    classifier = build_classifier(recipe_of("mobilenet_v2", 5), 3).eval()
    folded = fold_batch_norms(classifier)
    assert folded is not classifier
    clips, num_frames = torch.randn(1, 3, 3, 64, 64), torch.tensor([3])
    torch.testing.assert_close(folded(clips, num_frames), classifier(clips, num_frames), atol=1e-5, rtol=1e-5)


def test_more_stages_than_there_are_is_one_line() -> None:
    with pytest.raises(
        RecipeInvalidError, match="intermediate_stage_from_top = 19: the network has 19 stages; use at most 18"
    ):
        build_backbone(recipe_of("mobilenet_v2", 19))


@pytest.mark.parametrize("name", ["r3d_18", "inflated:tiny", "timm:resnet10t", "custom"])
def test_networks_without_2d_stages_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="has no 2D stages known here"):
        recipe_of(name, 1)


def test_a_shift_in_time_and_a_tap_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        recipe_of("mobilenet_v2", 1, temporal_shift=True)
