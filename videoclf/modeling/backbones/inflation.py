"""Inflates 2D networks to 3D, so that a network that sees time can start from ImageNet weights. ("I3D", Carreira,
Zisserman 2017)

Every convolution of odd size k > 1 gets a kernel of min(k, 3) in time with stride 1, so the time axis is kept. The
others, pooling and squeeze-and-excitation stay within each frame. A 2D kernel that is repeated over time and divided by
its extent gives, on a still clip, what the 2D network gives (except at the clip's ends, where padding has an effect).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torchvision.models.convnext import CNBlock, LayerNorm2d
from torchvision.ops.misc import Permute

from videoclf.modeling.backbones.masked_layers import ChannelNorm3d

_MAX_TIME_KERNEL = 3
"""Frames. I3D inflates 7×7 to seven; with three the same motion is seen deeper in the network at half the cost."""


_PERMUTED_3D = {(0, 2, 3, 1): [0, 2, 3, 4, 1], (0, 3, 1, 2): [0, 4, 1, 2, 3]}
"""Channels to the end and back, as ConvNeXt does it, with one dimension more."""


def inflate_weight(weight_2d: Tensor, like: Tensor) -> Tensor:
    """Convert a weight of the 2D network to the initial weight of the inflated one.

    Args:
        weight_2d: a kernel ``O×I×h×w`` is repeated over time and divided by its extent; a scale ``C×1×1`` gets
            another dimension; anything else is returned unchanged.
        like: the weight of the same layer in the inflated network.
    """
    if like.ndim == 5 and weight_2d.ndim == 4:
        time_extent = like.shape[2]
        return weight_2d[:, :, None].repeat(1, 1, time_extent, 1, 1) / time_extent
    if like.ndim == 4 and weight_2d.ndim == 3:
        return weight_2d[..., None]
    return weight_2d


def inflate(network: nn.Module) -> nn.Module:
    """Build the 3D network with the same layers, names and weights. The given network must not be used afterwards.

    Args:
        network: from ``N×3×H×W`` to ``N×C×h×w``, built from torchvision's modules.

    Returns:
        from ``B×3×T×H×W`` to ``B×C×T×h×w``.
    """
    for name, layer in network.named_children():
        setattr(network, name, _inflated(layer))
    if isinstance(network, CNBlock):
        network.layer_scale = nn.Parameter(network.layer_scale.detach()[..., None])
    return network


def _inflated(layer: nn.Module) -> nn.Module:  # noqa: PLR0911  (one line a kind of layer)
    if isinstance(layer, nn.Conv2d):
        return _inflated_conv(layer)
    if isinstance(layer, nn.BatchNorm2d):
        return _with_weights_of(
            layer,
            nn.BatchNorm3d(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats),
        )
    if isinstance(layer, LayerNorm2d):
        return _with_weights_of(layer, ChannelNorm3d(layer.normalized_shape, layer.eps))
    if isinstance(layer, nn.MaxPool2d):
        return nn.MaxPool3d((1, *_pair(layer.kernel_size)), (1, *_pair(layer.stride)), (0, *_pair(layer.padding)))
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return nn.AdaptiveAvgPool3d((None, *_pair(layer.output_size)))
    if isinstance(layer, Permute):
        permute: nn.Module = Permute(_PERMUTED_3D[tuple(layer.dims)])
        return permute
    return inflate(layer)


def _inflated_conv(conv: nn.Conv2d) -> nn.Conv3d:
    height, width = conv.kernel_size
    time_extent = min(_MAX_TIME_KERNEL, height) if height % 2 else 1
    inflated = nn.Conv3d(
        conv.in_channels, conv.out_channels, (time_extent, height, width), (1, *_pair(conv.stride)),
        (time_extent // 2, *_pair(conv.padding)), (1, *_pair(conv.dilation)), conv.groups,
        bias=conv.bias is not None, device="meta",
    )  # fmt: skip
    inflated.weight = nn.Parameter(inflate_weight(conv.weight.detach(), inflated.weight))
    inflated.bias = conv.bias
    return inflated


def _with_weights_of(old: nn.Module, new: nn.Module) -> nn.Module:
    new.load_state_dict(old.state_dict(), assign=True)
    return new


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
