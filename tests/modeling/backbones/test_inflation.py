"""2D networks made 3D."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from videoclf.modeling.backbones.clip_networks import build_backbone3d
from videoclf.modeling.backbones.frame_networks import build_backbone2d, build_network2d
from videoclf.modeling.backbones.inflation import inflate, inflate_weight
from videoclf.recipe.backbone_names import backbone_facts

NAMES = ["tiny", "resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "regnet_y_400mf"]


@pytest.mark.parametrize("name", NAMES)
def test_on_a_clip_that_stands_still_it_gives_what_the_2d_network_gives(name: str) -> None:
    torch.manual_seed(0)
    parts = build_network2d(name)
    flat = nn.Sequential(copy.deepcopy(parts.trunk)).eval()
    solid = inflate(nn.Sequential(parts.trunk)).eval()
    frame = torch.randn(1, 3, 32, 32)
    num_frames = 2 * sum(isinstance(m, nn.Conv3d) and m.kernel_size[0] > 1 for m in solid.modules()) + 1
    with torch.inference_mode():
        still = solid(frame[:, :, None].expand(-1, -1, num_frames, -1, -1))
        torch.testing.assert_close(still[:, :, num_frames // 2], flat(frame), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_the_weights_stay(name: str) -> None:
    flat = build_backbone2d(backbone_facts(name)).state_dict()
    solid = build_backbone3d(backbone_facts(f"inflated:{name}")).state_dict()
    assert {key.removeprefix("network.") for key in flat} == {
        key.removeprefix("network.").removeprefix("tail.") for key in solid
    }


def test_a_kernel_is_repeated_over_time_and_divided_by_its_extent() -> None:
    flat = torch.randn(4, 3, 5, 5)
    solid = inflate_weight(flat, torch.empty(4, 3, 3, 5, 5))
    assert solid.shape == (4, 3, 3, 5, 5)
    torch.testing.assert_close(solid.sum(dim=2), flat)


def test_what_is_no_kernel_stays_as_it_is() -> None:
    bias = torch.randn(4)
    assert inflate_weight(bias, torch.empty(4)) is bias


def test_kernels_of_one_and_even_ones_see_one_frame() -> None:
    solid = inflate(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 4, 4), nn.Conv2d(4, 4, 7, padding=3)))
    assert [conv.kernel_size for conv in solid.children() if isinstance(conv, nn.Conv3d)] == [
        (1, 1, 1),
        (1, 4, 4),
        (3, 7, 7),
    ]
