"""The 3D CNN: turns clips of any length into feature sequences, keeping the time axis."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from videoclf.modeling.backbones.frame_networks import build_network2d, check_features
from videoclf.modeling.backbones.freezing import keep_frozen_in_evaluation
from videoclf.modeling.backbones.inflation import inflate
from videoclf.modeling.backbones.masked_layers import steps_after_stride
from videoclf.modeling.backbones.masked_time import mask_time
from videoclf.modeling.padding import valid_steps
from videoclf.recipe.backbone_names import BackboneFacts


class ClipBackbone(nn.Module):
    """Runs a 3D network on a batch of clips of different lengths, from one frame up.

    At a clip's ends the network sees its own padding (zeros before a convolution), whatever the clip is batched with;
    see `mask_time`. In training, batch norm does not see padding.

    Args:
        network: a module from ``B×3×T×H×W`` to ``B×C×T'×h×w``. It is modified (custom networks: see `mask_time` for
            the allowed layers).
        network_features: F, the features that ``tail`` returns per step.
        tail: from ``N×C×h×w`` to ``N×F``, run on each step; by default the mean over positions.
        temporal_stride: frames per step; T' is ⌈T / temporal_stride⌉.
        num_views: number of views of three channels per frame; the network runs on each view separately.
    """

    def __init__(
        self,
        network: nn.Module,
        network_features: int,
        *,
        tail: nn.Module | None = None,
        temporal_stride: int = 1,
        num_views: int = 1,
    ) -> None:
        super().__init__()
        self.network = mask_time(network, temporal_stride=temporal_stride)
        # a quarter of the default layout's time on a CPU where kernels are depthwise
        self.lay_out(is_channels_last=True)
        self.tail = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()) if tail is None else tail
        self.temporal_stride = temporal_stride
        self.num_views = num_views
        self.feature_size = network_features * num_views

    def forward(self, clips: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the feature sequence of every clip.

        Args:
            clips: ``B×T×3V×H×W`` float, normalised; values beyond a clip's length are ignored.
            num_frames: ``B`` int64, each 1 to T.

        Returns:
            ``B×T'×D`` features (D is V×F), zero beyond a clip's length, and ``B`` the number of steps; on the device of
            the network's last layer.
        """
        if self.network.training or clips.device.type != "cpu":
            return self.run_padded(clips, num_frames)
        # on a CPU, one by one: nothing is computed for padding
        alone = []
        for clip, length in zip(clips, num_frames.tolist(), strict=True):
            items = self.to_items(clip[None, :length])
            alone.append(self.to_sequences(self.run_items(items, 1), 1)[0])
        features_BTD = nn.utils.rnn.pad_sequence(alone, batch_first=True)
        max_steps = -(-clips.shape[1] // self.temporal_stride)
        return functional.pad(features_BTD, (0, 0, 0, max_steps - features_BTD.shape[1])), steps_after_stride(
            num_frames, self.temporal_stride
        )

    def lay_out(self, *, is_channels_last: bool) -> None:
        """Choose the memory layout of convolution weights and of their input: channels-last or not."""
        self._layout = torch.channels_last_3d if is_channels_last else torch.contiguous_format
        for weight in self.network.parameters():
            if weight.ndim == 5:
                weight.data = weight.data.contiguous(memory_format=self._layout)

    def to_items(self, clips: Tensor) -> Tensor:
        """Convert clips to the network's input: ``B×T×3V×H×W`` to ``N×3×T×H×W``, one item for each view of each clip.

        `to_items`, `run_items` and `to_sequences` together are `forward` for clips without padding, in a form that an
        exporter can follow.
        """
        num_clips, num_frames = clips.shape[:2]
        clips_BTVCHW = clips.view(num_clips, num_frames, self.num_views, 3, *clips.shape[3:])
        views = clips_BTVCHW.permute(0, 2, 3, 1, 4, 5).flatten(0, 1)
        return views.contiguous(memory_format=self._layout)

    def run_items(self, items: Tensor, num_clips: int) -> Tensor:  # noqa: ARG002  (as in 2D, where clips may matter)
        """Run the network on items: ``N×T'×F``; each item separately."""
        maps, _ = self.network(items, None)
        features_NF: Tensor = self.tail(maps.movedim(2, 1).flatten(0, 1))
        check_features(features_NF, self.feature_size // self.num_views)
        return features_NF.view(maps.shape[0], -1, self.feature_size // self.num_views)

    def to_sequences(self, features: Tensor, num_clips: int) -> Tensor:
        """Convert ``N×T'×F`` of items to the clips' feature sequences, ``B×T'×D``."""
        features_BVTF = features.reshape(num_clips, self.num_views, -1, features.shape[2])
        return features_BVTF.movedim(1, 2).flatten(2)

    def run_padded(self, clips: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        """`forward` with all clips in one pass: used in training, and on a GPU, whose cores are filled in this way."""
        num_clips, max_frames = clips.shape[:2]
        num_steps = steps_after_stride(num_frames.cpu(), self.temporal_stride)  # before the network is to be waited for
        lengths = num_frames.repeat_interleave(self.num_views) if bool((num_frames < max_frames).any()) else None
        maps, _ = self.network(self.to_items(clips), lengths)
        valid = valid_steps(num_steps, maps.shape[2], maps.device)
        maps_BTVChw = maps.view(num_clips, self.num_views, *maps.shape[1:]).permute(0, 3, 1, 2, 4, 5)
        features_NF = self.tail(maps_BTVChw[valid].flatten(0, 1))
        check_features(features_NF, self.feature_size // self.num_views)
        features_ND = features_NF.reshape(-1, self.feature_size)
        features_BTD = features_ND.new_zeros(num_clips, maps.shape[2], self.feature_size)
        features_BTD[valid] = features_ND
        return features_BTD, num_steps.to(features_ND.device, non_blocking=True)

    def train(self, mode: bool = True) -> ClipBackbone:
        """Set the training mode, except that frozen parts stay in evaluation mode (their batch norms must not
        change)."""
        super().train(mode)
        if mode:
            keep_frozen_in_evaluation(self)
        return self


def build_backbone3d(facts: BackboneFacts, *, temporal_stride: int = 1, num_views: int = 1) -> ClipBackbone:
    """Build the 3D backbone with this name, with random weights."""
    if facts.source == "inflated":
        parts = build_network2d(facts.network)
        return ClipBackbone(
            inflate(nn.Sequential(parts.trunk)), parts.num_features, tail=nn.Sequential(parts.tail), num_views=num_views
        )
    network: Any = getattr(torchvision.models.video, facts.network)()
    if facts.network == "s3d":  # Xie et al. 2018
        trunk, num_features = OrderedDict(features=network.features), network.classifier[1].in_channels
    else:  # Tran et al. 2018
        trunk = OrderedDict(network.named_children())
        num_features = trunk.pop("fc").in_features
        del trunk["avgpool"]
    return ClipBackbone(nn.Sequential(trunk), num_features, temporal_stride=temporal_stride, num_views=num_views)
