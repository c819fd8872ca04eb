"""Converts decoded frames to the network's input in one pass: colours, resize, crop, flip, channels, normalisation,
data type.

``out = (view(resize(rgb(bytes))) / 255 - mean) / std``. The parts are in `preprocess_reference` (colours, resize) and
`channel_arrangement_reference` (views). On a GPU that `availability` allows, a Triton kernel computes it, within 1/255
of the reference before normalisation. Everywhere else the reference runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from videoclf.kernels.availability import why_no_kernels
from videoclf.kernels.channel_arrangement_reference import VIEWS
from videoclf.kernels.launch import launch_preprocess
from videoclf.kernels.layout import Clip, frame_table
from videoclf.kernels.preprocess_reference import preprocess_reference

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Output:
    """The input that the network needs."""

    height: int
    """Rows, in pixels."""
    width: int
    channels: tuple[str, ...] = ("rgb",)
    """From `VIEWS`, in order, each at most once."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Subtracted from each channel of a view, on the scale where white is 1."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    dtype: torch.dtype = torch.float32
    """float32, float16 or bfloat16."""
    is_channels_last: bool = False
    """Whether a pixel's channels are next to each other in memory."""

    def __post_init__(self) -> None:
        if not self.channels or len(set(self.channels)) < len(self.channels) or not set(self.channels) <= set(VIEWS):
            raise ValueError(f"channels = {self.channels}: expected some of {', '.join(VIEWS)}, each once")
        if self.dtype not in _DTYPES:
            raise ValueError(f"dtype = {self.dtype}: expected one of {', '.join(map(str, _DTYPES))}")


def preprocess_clips(pixels: Tensor, clips: Sequence[Clip], output: Output) -> Tensor:
    """Preprocess all frames of some clips, of any sizes, for the network.

    Args:
        pixels: uint8, one dimension, contiguous: the bytes of all clips, on the device that computes.
        clips: where they are in it, and how each is placed and flipped.
        output: the input that the network needs.

    Returns:
        ``F×3V×height×width`` of the output's type, on the same device; F counts the frames of all clips.

    Raises:
        ValueError: pixels are of another kind, or clips exceed them or cannot be combined.
    """
    if pixels.dtype != torch.uint8 or pixels.ndim != 1 or not pixels.is_contiguous():
        found = f"{pixels.dtype} {tuple(pixels.shape)}"
        raise ValueError(f"pixels: expected uint8 in one dimension, contiguous; got {found}")
    table_FK = frame_table(clips, output.height, output.width, len(pixels))
    result: Tensor = preprocess_op(
        pixels,
        table_FK.to(pixels.device, non_blocking=True),
        clips[0].layout.colours is not None,
        output.height,
        output.width,
        ",".join(output.channels),
        output.mean,
        output.std,
        output.dtype,
        output.is_channels_last,
    )
    return result


@torch.library.custom_op("videoclf::preprocess", mutates_args=())
def preprocess_op(
    pixels: Tensor,
    table_FK: Tensor,
    is_yuv: bool,
    height: int,
    width: int,
    channels: str,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    is_channels_last: bool,
) -> Tensor:
    """`preprocess_clips` as an operator for torch's compiler and exporter. ``table_FK`` is `layout.frame_table`
    (trusted), on the device of ``pixels``; ``channels`` are joined by commas."""
    out = _empty(pixels, table_FK, height, width, channels, dtype, is_channels_last)
    names = channels.split(",")
    if why_no_kernels(pixels.device) is None:
        with torch.cuda.device(pixels.device):
            launch_preprocess(pixels, table_FK, out, names, mean, std, is_yuv=is_yuv)
        return out
    return out.copy_(preprocess_reference(pixels, table_FK, height, width, names, mean, std))


@preprocess_op.register_fake
def _(
    pixels: Tensor,
    table_FK: Tensor,
    is_yuv: bool,
    height: int,
    width: int,
    channels: str,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    is_channels_last: bool,
) -> Tensor:
    return _empty(pixels, table_FK, height, width, channels, dtype, is_channels_last)


def _empty(
    pixels: Tensor, table_FK: Tensor, height: int, width: int, channels: str, dtype: torch.dtype, is_channels_last: bool
) -> Tensor:
    shape = (table_FK.shape[0], 3 * len(channels.split(",")), height, width)
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    return torch.empty(shape, dtype=dtype, device=pixels.device, memory_format=layout)
