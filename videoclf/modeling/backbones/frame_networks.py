"""The per-frame CNN: turns frames into feature vectors, and never sees padding."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.func import functional_call
from torchvision.models import regnet

from videoclf.errors import RecipeInvalidError, one_line
from videoclf.modeling.backbones.freezing import keep_frozen_in_evaluation
from videoclf.modeling.backbones.temporal_shift import neighbours, neighbours_within, shift_in_time
from videoclf.modeling.padding import valid_steps
from videoclf.recipe.backbone_names import BackboneFacts

_FRAMES_PER_PASS_CPU, _FRAMES_PER_PASS_GPU = 16, 64
"""In evaluation, frames run in groups of this size, so memory is bounded for any number and length of clips. On a CPU,
small groups stay in its caches (MobileNetV2 at 128², folded: 8 took 1.2 times as long as 16, and so did 48)."""


class FrameBackbone(nn.Module):
    """Runs a 2D network on every valid frame of a batch of clips.

    Frames beyond a clip's length are never computed, so they cannot affect its features or, in training, the
    statistics of a batch norm.

    Args:
        network: a module from ``N×3×H×W`` to ``N×F``; a custom one needs no registration. It is modified: the memory
            layout of its weights changes.
        network_features: its F.
        num_views: number of views of three channels per frame; the network runs on each view separately.
        has_temporal_shift: the network, of ResNet's or MobileNetV2's blocks, is rewritten to see the frames before and
            after (`shift_in_time`).
    """

    def __init__(
        self, network: nn.Module, network_features: int, *, num_views: int = 1, has_temporal_shift: bool = False
    ) -> None:
        super().__init__()
        self.has_temporal_shift = has_temporal_shift
        if has_temporal_shift:
            network = shift_in_time(network)
        self.network = network.to(memory_format=torch.channels_last)  # half the time of the default layout on a CPU
        self.num_views = num_views
        self.feature_size = network_features * num_views

    def forward(self, clips: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the features of every valid frame.

        Args:
            clips: ``B×T×3V×H×W`` float, normalised; values beyond a clip's length are ignored.
            num_frames: ``B`` int64, each 1 to T.

        Returns:
            ``B×T×D`` features (D is V×F), zero beyond a clip's length, and ``B`` the number of steps (here: of frames);
            on the device of the network's last layer.
        """
        max_frames = clips.shape[1]
        lengths = num_frames.cpu()  # here, and not behind the network, which would be waited for
        features_ND = self.encode_frames(clips[valid_steps(lengths, max_frames, clips.device)], num_frames)
        features_BTD = features_ND.new_zeros(*clips.shape[:2], self.feature_size)
        features_BTD[valid_steps(lengths, max_frames, features_ND.device)] = features_ND
        return features_BTD, lengths.to(features_ND.device, non_blocking=True)

    def lay_out(self, *, is_channels_last: bool) -> None:
        """Choose the memory layout of convolution weights: channels-last or not."""
        layout = torch.channels_last if is_channels_last else torch.contiguous_format
        self.network.to(memory_format=layout)

    def encode_frames(self, frames: Tensor, num_frames: Tensor, *, frames_per_pass: int | None = None) -> Tensor:
        """Compute the features of frames without padding between their clips, as `forward` does for the valid ones.

        Args:
            frames: ``N×3V×H×W`` float, normalised; the frames of all clips one after another.
            num_frames: ``B`` int64, with the sum N.
            frames_per_pass: in evaluation, how many images (each view is one) go through the network at a time; with
                temporal shifts never less than a clip's.

        Returns:
            ``N×D``, on the device of the network's last layer.
        """
        pictures = frames.reshape(-1, 3, *frames.shape[2:])  # each view a frame of its own
        if frames_per_pass is None:
            frames_per_pass = _FRAMES_PER_PASS_CPU if frames.device.type == "cpu" else _FRAMES_PER_PASS_GPU
        if self.has_temporal_shift:
            features_NF = self._run_shifted(pictures, num_frames, frames_per_pass)
        else:
            features_NF = self._run(pictures, frames_per_pass)
        check_features(features_NF, self.feature_size // self.num_views)
        return features_NF.reshape(-1, self.feature_size)

    def _run(self, frames: Tensor, frames_per_pass: int) -> Tensor:
        if self.network.training and len(frames) > 1:  # one pass, so that batch norm sees the whole batch
            features: Tensor = self.network(frames)
            return features
        if self.network.training:  # one frame has no statistics of its own: its batch norms use the running ones
            self.network.eval()
            # copies: gradients need them as they are now, and a batch that follows before the way back changes them
            statistics = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
            features = functional_call(self.network, statistics, frames)
            self.train()
            return features
        return torch.cat([self.network(part) for part in torch.split(frames, frames_per_pass)])

    def _run_shifted(self, frames: Tensor, num_frames: Tensor, frames_per_pass: int) -> Tensor:
        """All frames of a clip go together. In evaluation clip by clip on a CPU, and otherwise as many whole clips at a
        time as make a group, or one."""
        num_views = self.num_views
        if self.network.training:
            if len(frames) > 1:
                features: Tensor = self.network(frames, neighbours(num_frames, num_views))
                return features
            return self._run(frames, frames_per_pass)  # a single frame has no neighbours
        lengths = num_frames.tolist()
        max_frames = 1 if frames.device.type == "cpu" else frames_per_pass
        groups: list[list[int]] = []
        for length in lengths:
            if groups and (sum(groups[-1]) + length) * num_views <= max_frames:
                groups[-1].append(length)
            else:
                groups.append([length])
        parts = torch.split(frames, [sum(group) * num_views for group in groups])
        return torch.cat(
            [
                self.network(part, neighbours(torch.tensor(group), num_views).to(frames.device, non_blocking=True))
                for part, group in zip(parts, groups, strict=True)
            ]
        )

    def to_items(self, clips: Tensor) -> Tensor:
        """Convert clips without padding to the network's input: ``B×T×3V×H×W`` to ``N×3×H×W``, one item for each view.

        `to_items`, `run_items` and `to_sequences` together are `forward` for whole clips, without masks and groups, in
        a form that an exporter can follow.
        """
        return clips.reshape(-1, 3, *clips.shape[3:])

    def run_items(self, items: Tensor, num_clips: int) -> Tensor:
        """Run the network on items: ``N×F``; each item separately, unless the network has temporal shifts."""
        if self.has_temporal_shift:
            num_items = items.shape[0]
            clip_N = torch.arange(num_items, device=items.device) // (num_items // num_clips)
            features: Tensor = self.network(items, neighbours_within(clip_N, self.num_views))
        else:
            features = self.network(items)
        return features

    def to_sequences(self, features: Tensor, num_clips: int) -> Tensor:
        """Convert ``N×F`` of items to the clips' feature sequences, ``B×T×D``."""
        return features.reshape(num_clips, -1, self.feature_size)

    def train(self, mode: bool = True) -> FrameBackbone:
        """Set the training mode, except that frozen parts stay in evaluation mode (their batch norms must not
        change)."""
        super().train(mode)
        if mode:
            keep_frozen_in_evaluation(self.network)
        return self


def check_features(features_NF: Tensor, num_features: int) -> None:
    """Check that a network returns the declared number of features.

    Raises:
        ValueError: a custom network returns another number of features, or feature maps.
    """
    if not isinstance(features_NF, Tensor) or features_NF.ndim != 2 or features_NF.shape[1] != num_features:
        found = f"N×{'×'.join(map(str, features_NF.shape[1:]))}" if isinstance(features_NF, Tensor) else "not a tensor"
        raise ValueError(f"network_features = {num_features}: the network returns {found} instead of N×{num_features}")


@dataclass(frozen=True)
class Network2d:
    """A 2D network without its classifier, in two parts."""

    trunk: OrderedDict[str, nn.Module]
    """``N×3×H×W`` to ``N×C×h×w``, layer by layer; its names are those of the weights."""
    tail: OrderedDict[str, nn.Module]
    """``N×C×h×w`` to ``N×F``."""
    num_features: int
    """F."""


def build_backbone2d(facts: BackboneFacts, *, num_views: int = 1, has_temporal_shift: bool = False) -> FrameBackbone:
    """Build the per-frame backbone with this name, with random weights.

    Raises:
        RecipeInvalidError: the timm network does not exist, or timm is not installed.
    """
    if facts.source == "timm":
        network, num_features = _timm(facts.network)
        return FrameBackbone(network, num_features, num_views=num_views)
    parts = build_network2d(facts.network)
    joined = nn.Sequential(OrderedDict([*parts.trunk.items(), *parts.tail.items()]))
    return FrameBackbone(joined, parts.num_features, num_views=num_views, has_temporal_shift=has_temporal_shift)


def build_network2d(name: str) -> Network2d:
    """Build ``tiny`` or a torchvision network (`recipe.backbone_names.TORCHVISION_2D`), with random weights."""
    if name == "tiny":
        return _tiny()
    with _regnet_widths_as_numbers():
        network: Any = getattr(torchvision.models, name)()
    if hasattr(network, "features"):  # MobileNet, EfficientNet, ConvNeXt
        return _with_features(network)
    trunk = OrderedDict(network.named_children())  # ResNet, RegNet
    num_features: int = trunk.pop("fc").in_features
    return Network2d(trunk, OrderedDict(avgpool=trunk.pop("avgpool"), flatten=nn.Flatten()), num_features)


@contextlib.contextmanager
def _regnet_widths_as_numbers() -> Iterator[None]:
    """torchvision computes a RegNet's widths with tensors, which have no values where a network is built on torch's
    meta device; here they are computed on the CPU."""
    compute = regnet.BlockParams.from_init_params

    def compute_on_cpu(**settings: Any) -> Any:
        with torch.device("cpu"):
            return compute(**settings)

    regnet.BlockParams.from_init_params = compute_on_cpu
    try:
        yield
    finally:
        regnet.BlockParams.from_init_params = compute


def _tiny() -> Network2d:
    """Four strided convolutions that keep a 3×3 grid of places: small enough to train from nothing in a minute."""
    widths = (3, 16, 24, 32, 48)
    blocks: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        blocks += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
    trunk = OrderedDict((str(i), block) for i, block in enumerate(blocks))
    return Network2d(trunk, OrderedDict(avgpool=nn.AdaptiveAvgPool2d(3), flatten=nn.Flatten()), widths[-1] * 9)


def _with_features(network: Any) -> Network2d:
    """A norm with which the classifier starts (ConvNeXt) is kept: the features were trained to be seen through it."""
    tail: OrderedDict[str, nn.Module] = OrderedDict(avgpool=nn.AdaptiveAvgPool2d(1))
    if isinstance(network.classifier[0], torchvision.models.convnext.LayerNorm2d):
        tail["classifier"] = network.classifier[:1]
    tail["flatten"] = nn.Flatten()
    num_features: int = next(m.in_features for m in network.classifier if isinstance(m, nn.Linear))
    # "0" and not "features": model files name it so
    return Network2d(OrderedDict({"0": network.features}), tail, num_features)


def _timm(name: str) -> tuple[nn.Module, int]:
    """Any network of timm's that gives one vector an image (https://github.com/huggingface/pytorch-image-models)."""
    try:
        import timm
    except ImportError as error:
        raise RecipeInvalidError(
            f"needs timm ({one_line(error)})",
            source=f"backbone.name = 'timm:{name}'",
            hint="pip install 'videoclf[timm]'",
        ) from error
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.partition('_')[0]}*")[:5])
        raise RecipeInvalidError(
            f"timm {timm.__version__} has no such network{f'; it has {near}, ...' if near else ''}",
            source=f"backbone.name = 'timm:{name}'",
        )
    network = timm.create_model(name, pretrained=False, num_classes=0)
    num_features: Any = getattr(network, "head_hidden_size", None) or network.num_features
    return network, int(num_features)
