"""3D backbones: the time axis kept, whatever the clips' lengths."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from videoclf.modeling.backbones.clip_networks import ClipBackbone, build_backbone3d
from videoclf.modeling.padding import pad_sequences
from videoclf.recipe.backbone_names import TORCHVISION_3D, backbone_facts

pytestmark = pytest.mark.usefixtures("large_memory")

STRIDES = [(name, stride) for name, own in TORCHVISION_3D.items() for stride in (1, 2, 4, 8) if stride <= own]


@pytest.mark.parametrize(("name", "temporal_stride"), [*STRIDES, ("inflated:tiny", 1), ("inflated:mobilenet_v2", 1)])
def test_a_step_for_every_temporal_stride_begun_from_one_frame_up(name: str, temporal_stride: int) -> None:
    backbone = build_backbone3d(backbone_facts(name), temporal_stride=temporal_stride).eval()
    clips = [torch.randn(num_frames, 3, 32, 32) for num_frames in (1, 4, 9)]
    with torch.inference_mode():
        features, num_steps = backbone(*pad_sequences(clips))
    assert num_steps.tolist() == [-(-num_frames // temporal_stride) for num_frames in (1, 4, 9)]
    assert features.shape == (3, num_steps[2], backbone.feature_size)
    assert features.isfinite().all()


@pytest.mark.parametrize("name", TORCHVISION_3D)
def test_with_their_own_stride_they_are_torchvisions_networks(name: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models.video, name)().eval()
    ours = build_backbone3d(backbone_facts(name), temporal_stride=TORCHVISION_3D[name]).eval()
    ours.network.load_state_dict({key: t for key, t in theirs.state_dict().items() if key in ours.network.state_dict()})
    side = 224 if name == "s3d" else 56  # S3D pools a window of 7×7 places at its end
    clips = torch.randn(1, 16, 3, side, side)
    head = nn.Sequential(theirs.classifier, nn.Flatten()) if name == "s3d" else theirs.fc
    with torch.inference_mode():
        features, _ = ours(clips, torch.tensor([16]))
        mean = features.mean(dim=1)
        logits = head(mean[:, :, None, None, None] if name == "s3d" else mean)
        torch.testing.assert_close(logits, theirs(clips.transpose(1, 2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["r3d_18", "r2plus1d_18", "s3d"])
def test_the_steps_of_a_smaller_stride_hold_those_of_the_networks_own(name: str) -> None:
    torch.manual_seed(0)
    own = build_backbone3d(backbone_facts(name), temporal_stride=8).eval()
    clips = torch.randn(1, 19, 3, 32, 32)
    with torch.inference_mode():
        expected, _ = own(clips, torch.tensor([19]))
        for temporal_stride in (1, 4):
            dense = build_backbone3d(backbone_facts(name), temporal_stride=temporal_stride).eval()
            dense.load_state_dict(own.state_dict())
            steps, _ = dense(clips, torch.tensor([19]))
            torch.testing.assert_close(steps[:, :: 8 // temporal_stride], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["r2plus1d_18", "s3d", "inflated:mobilenet_v2", "inflated:tiny"])
def test_in_training_batch_norm_does_not_see_padding(name: str) -> None:
    torch.manual_seed(0)
    # in float64: statistics of the few small maps of the last layers blow rounding up, differently by threads
    padded, plain = build_backbone3d(backbone_facts(name)).double(), build_backbone3d(backbone_facts(name)).double()
    plain.load_state_dict(padded.state_dict())
    clips = torch.randn(2, 5, 3, 32, 32, dtype=torch.float64)
    longer = torch.cat([clips, torch.full((2, 4, 3, 32, 32), torch.nan, dtype=torch.float64)], dim=1)
    with torch.no_grad():
        features, _ = padded.train()(longer, torch.tensor([5, 5]))
        expected, _ = plain.train()(clips, torch.tensor([5, 5]))
    torch.testing.assert_close(features[:, :5], expected, rtol=1e-9, atol=1e-9)
    for key, statistic in padded.state_dict().items():
        torch.testing.assert_close(statistic, plain.state_dict()[key], rtol=1e-9, atol=1e-9, msg=key)


def test_gradients_of_a_padded_batch_are_numbers() -> None:
    backbone = build_backbone3d(backbone_facts("s3d")).train()
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.eval()  # frozen statistics, trained weights: what lies beyond must not come back as 0 × infinity
    clips, num_frames = pad_sequences([torch.randn(3, 3, 32, 32), torch.randn(9, 3, 32, 32)])
    features, _ = backbone(clips, num_frames)
    features.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())


def test_views_run_through_one_network_and_stand_side_by_side() -> None:
    torch.manual_seed(0)
    two = build_backbone3d(backbone_facts("inflated:tiny"), num_views=2).eval()
    one = build_backbone3d(backbone_facts("inflated:tiny")).eval()
    one.load_state_dict(two.state_dict())
    clips, num_frames = torch.randn(2, 5, 6, 32, 32), torch.tensor([5, 3])
    with torch.inference_mode():
        both, _ = two(clips, num_frames)
        first, _ = one(clips[:, :, :3], num_frames)
        second, _ = one(clips[:, :, 3:], num_frames)
    torch.testing.assert_close(both, torch.cat([first, second], dim=2))


def test_a_frozen_backbone_stays_in_evaluation_mode() -> None:
    backbone = build_backbone3d(backbone_facts("inflated:tiny")).requires_grad_(False)
    assert not any(module.training for module in backbone.train().modules())


def test_a_users_own_3d_network_needs_no_registration() -> None:
    network = nn.Sequential(nn.Conv3d(3, 8, 3, stride=2, padding=1), nn.BatchNorm3d(8), nn.ReLU())
    backbone = ClipBackbone(network, 8, temporal_stride=2).eval()
    features, num_steps = backbone(*pad_sequences([torch.randn(3, 3, 16, 16), torch.randn(6, 3, 16, 16)]))
    assert features.shape == (2, 3, 8)
    assert num_steps.tolist() == [2, 3]
