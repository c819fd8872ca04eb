"""The layers of a 3D network for padded clips. Each layer receives the lengths of the clips, and puts at a clip's end
what the clip alone would see there, the layer's own padding: zeros before a convolution, minus infinity before a
maximum. Batch norm in training takes its statistics from valid steps only.

Dimensions in names: B clips, N valid steps of the batch, C channels, T steps of the layer, H rows, W columns.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from videoclf.modeling.padding import length_mask

Lengths = Tensor | None
"""``B`` int64, the number of valid steps of each clip; None if no clip of the batch is padded."""


def fill_beyond(x_BCTHW: Tensor, num_steps: Lengths, value: float = 0.0) -> Tensor:
    """Replace everything beyond each clip's length by the value (NaN included)."""
    if num_steps is None:
        return x_BCTHW
    valid_B1T11 = length_mask(num_steps, x_BCTHW.shape[2])[:, None, :, None, None]
    return x_BCTHW.where(valid_B1T11, value)


class FillBeyond(nn.Module):
    """Writes zeros beyond each clip's length. (A layer, because a pickled graph keeps layers and retraces
    functions.)"""

    def forward(self, x_BCTHW: Tensor, num_steps: Lengths) -> Tensor:
        """``B×C×T×H×W`` to the same shape."""
        return fill_beyond(x_BCTHW, num_steps)


class StepsAfterStride(nn.Module):
    """Lengths after a layer with a stride in time: T steps become ⌈T / stride⌉.

    Args:
        stride: the layer's stride.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, num_steps: Lengths) -> Lengths:
        """Lengths before the layer to lengths after it."""
        return None if num_steps is None else steps_after_stride(num_steps, self.stride)


def steps_after_stride(num_steps: Tensor, stride: int) -> Tensor:
    """⌈num_steps / stride⌉, ``B`` int64."""
    return (num_steps + stride - 1) // stride


class MaskedConv3d(nn.Conv3d):
    """A 3D convolution that sees zeros beyond a clip's length, as at the edges of a tensor."""

    def forward(self, x_BCTHW: Tensor, num_steps: Lengths = None) -> Tensor:
        """``B×C×T×H×W`` to ``B×C'×⌈T/stride⌉×H'×W'``."""
        reaches_over_time = self.kernel_size[0] > 1
        return super().forward(fill_beyond(x_BCTHW, num_steps) if reaches_over_time else x_BCTHW)


class MaskedMaxPool3d(nn.Module):
    """Max pooling that ignores values beyond a clip's length, and returns ⌈T / stride⌉ steps for any T from 1 up.

    Args:
        like: the pooling whose window, stride and padding are used. An even window (S3D's last pooling: 2, no padding)
            is padded at the end, where torch would drop the last frame of an odd number and fail for one frame.
    """

    def __init__(self, like: nn.MaxPool3d) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = (
            triple(value) for value in (like.kernel_size, like.stride, like.padding)
        )
        self.dilation = triple(like.dilation)

    def forward(self, x_BCTHW: Tensor, num_steps: Lengths = None) -> Tensor:
        """``B×C×T×H×W`` to ``B×C×⌈T/stride⌉×H'×W'``."""
        window, dilation, before = self.kernel_size[0], self.dilation[0], self.padding[0]
        after = (window - 1) * dilation - before
        x_BCTHW = fill_beyond(x_BCTHW, num_steps, -torch.inf)
        if window > 1:
            x_BCTHW = functional.pad(x_BCTHW, (0, 0, 0, 0, before, after), value=-torch.inf)
        pooled = functional.max_pool3d(x_BCTHW, self.kernel_size, self.stride, (0, *self.padding[1:]), self.dilation)
        # a window beyond the clip held minus infinity only, and infinity times a gradient of zero is no number
        return fill_beyond(pooled, None if num_steps is None else steps_after_stride(num_steps, self.stride[0]))


class MaskedBatchNorm3d(nn.BatchNorm3d):
    """Batch norm whose statistics in training come from the valid steps only."""

    def forward(self, x_BCTHW: Tensor, num_steps: Lengths = None) -> Tensor:
        """``B×C×T×H×W`` to the same shape."""
        if not self.training or num_steps is None:
            return self._norm(x_BCTHW)
        # rows of B·T, channels innermost: the layout that convolutions leave, so a step's values lie together
        rows = x_BCTHW.permute(0, 2, 3, 4, 1).flatten(0, 1)
        (index,) = length_mask(num_steps, x_BCTHW.shape[2]).flatten().nonzero(as_tuple=True)
        valid_NC1HW = rows.index_select(0, index).permute(0, 3, 1, 2).unsqueeze(2)
        normed = self._norm(valid_NC1HW).squeeze(2).permute(0, 2, 3, 1)
        filled = torch.zeros_like(rows).index_copy(0, index, normed)
        return filled.view(x_BCTHW.shape[0], x_BCTHW.shape[2], *filled.shape[1:]).permute(0, 4, 1, 2, 3)

    def _norm(self, x_NCTHW: Tensor) -> Tensor:
        num_values_per_channel = x_NCTHW.numel() // x_NCTHW.shape[1]
        if self.training and num_values_per_channel == 1:  # no statistics of its own: the running ones
            # copies: gradients need them as they are now, and a batch that follows before the way back changes them
            mean_C, variance_C = cast(Tensor, self.running_mean).clone(), cast(Tensor, self.running_var).clone()
            return functional.batch_norm(
                x_NCTHW, mean_C, variance_C, self.weight, self.bias, training=False, eps=self.eps
            )
        if 1 not in x_NCTHW.shape[3:]:
            return super().forward(x_NCTHW)
        # where a map is one place high or wide, torch 2.15 takes a gradient of another layout for its own, silently
        normed = super().forward(x_NCTHW.contiguous())
        if normed.requires_grad:
            normed.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
        return normed


class ChannelNorm3d(nn.LayerNorm):
    """Layer norm over the channels of each position separately (ConvNeXt's ``LayerNorm2d``, in 3D)."""

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """``B×C×T×H×W`` to the same shape."""
        normed: Tensor = super().forward(x_BCTHW.movedim(1, -1)).movedim(-1, 1)
        return normed


MaskedLayer = MaskedConv3d | MaskedMaxPool3d | MaskedBatchNorm3d


def triple(value: Any) -> tuple[Any, Any, Any]:
    """A layer's setting for time, height and width, given as one value (or None) for all, or as three."""
    return (value, value, value) if isinstance(value, int) or value is None else tuple(value)
