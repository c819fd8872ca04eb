"""The per-frame CNN: frames to feature vectors, padding never seen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from videoclf.modeling.sequences import length_mask

_FRAMES_PER_PASS_CPU, _FRAMES_PER_PASS_GPU = 8, 64
"""In evaluation frames run in groups of this many: memory stays bounded however long and many the clips are. On a CPU
small groups stay in its caches (MobileNetV2 at 160²: 8 took 0.75 of the time of 32)."""


class FrameBackbone(nn.Module):
    """Runs a 2D network on every valid frame of a batch of clips.

    Frames beyond a clip's length are never computed, so they cannot reach its features nor, in training, the
    statistics of a batch norm.

    Args:
        network: a module from ``N×3×H×W`` to ``N×F``; a user's own needs no registration.
        network_features: its F.
        num_views: how many times three channels a frame has; the network runs on each three by themselves.
    """

    def __init__(self, network: nn.Module, network_features: int, *, num_views: int = 1) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # half the time of the default layout on a CPU
        self.num_views = num_views
        self.feature_size = network_features * num_views

    def forward(self, clips: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Features of every valid frame.

        Args:
            clips: ``B×T×3V×H×W`` float, normalised; anything beyond a clip's length.
            num_frames: ``B`` int64, each 1 to T.

        Returns:
            ``B×T×D`` features (D is V×F), zero beyond a clip's length, and ``B`` the number of steps (here: of frames).
        """
        valid_BT = length_mask(num_frames, clips.shape[1])
        frames = clips[valid_BT].reshape(-1, 3, *clips.shape[3:])  # each view a frame of its own
        features_ND = self._run(frames).reshape(-1, self.feature_size)
        features_BTD = features_ND.new_zeros(*clips.shape[:2], self.feature_size)
        features_BTD[valid_BT] = features_ND
        return features_BTD, num_frames

    def _run(self, frames: Tensor) -> Tensor:
        if self.network.training and len(frames) > 1:  # one pass, so that batch norm sees the whole batch
            features: Tensor = self.network(frames)
            return features
        if self.network.training:  # one frame has no statistics of its own: its batch norms use the running ones
            self.network.eval()
            features = self.network(frames)
            self.network.train()
            return features
        num_frames = _FRAMES_PER_PASS_CPU if frames.device.type == "cpu" else _FRAMES_PER_PASS_GPU
        return torch.cat([self.network(part) for part in torch.split(frames, num_frames)])

    def train(self, mode: bool = True) -> FrameBackbone:
        """Training mode, except that a frozen network stays in evaluation mode (its batch norms must not move)."""
        super().train(mode)
        if mode and not any(parameter.requires_grad for parameter in self.network.parameters()):
            self.network.eval()
        return self


def build_backbone(name: str, *, num_views: int = 1) -> FrameBackbone:
    """The backbone of that name (`recipe.KNOWN_BACKBONES`) with random weights."""
    build = {"tiny": _tiny, "mobilenet_v2": _mobilenet_v2}.get(name, _resnet)
    network, network_features = build(name)
    return FrameBackbone(network, network_features, num_views=num_views)


def _tiny(_: str) -> tuple[nn.Module, int]:
    """Four strided convolutions that keep a 3×3 grid of places: small enough to train from nothing in a minute."""
    widths = (3, 16, 24, 32, 48)
    blocks: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        blocks += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(3), nn.Flatten()), widths[-1] * 9


def _mobilenet_v2(_: str) -> tuple[nn.Module, int]:
    """Sandler et al. 2018, without its classifier."""
    network = torchvision.models.mobilenet_v2()
    return nn.Sequential(network.features, nn.AdaptiveAvgPool2d(1), nn.Flatten()), network.last_channel


def _resnet(name: str) -> tuple[nn.Module, int]:
    """He et al. 2016, without its classifier."""
    build: Callable[[], Any] = getattr(torchvision.models, name)
    network = build()
    feature_size: int = network.fc.in_features
    network.fc = nn.Identity()
    return network, feature_size
