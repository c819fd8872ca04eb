"""Starts the Triton kernels without checking whether they work on this device (`self_test`): `preprocess` and
`temporal_shift` ask `availability` first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from videoclf.kernels.channel_arrangement_reference import VIEWS
from videoclf.kernels.layout import COLUMNS
from videoclf.kernels.temporal_shift_reference import SHIFTED_SHARE

TILE_ROWS, TILE_COLUMNS, CHUNK_ROWS, CHUNK_COLUMNS = 16, 32, 32, 64
"""A program computes 16×32 pixels from chunks of 32×64: docs/kernels.md has the sizes that were compared."""

COMPILE_OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}

FRAMES_A_RUN = 4
"""If a view shows motion, a program computes this many frames one after another, and resizes two more at the ends of
its run. Longer runs read fewer frames twice; shorter ones keep more of a GPU busy on one short clip."""

SHIFT_BLOCK = 1024
"""Number of values that a program of temporal shift moves: eight per thread."""


def launch_preprocess(
    pixels: Tensor,
    table_FK: Tensor,
    out_FCHW: Tensor,
    channels: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    is_yuv: bool,
) -> None:
    """Start the kernel (under ``TRITON_INTERPRET=1``: run it on the CPU), which fills ``out_FCHW``."""
    from triton import cdiv

    from videoclf.kernels.preprocess_triton import preprocess_kernel

    num_frames, _, height, width = out_FCHW.shape
    constants = kernel_constants(channels, is_yuv=is_yuv)
    tiles = cdiv(height, TILE_ROWS) * cdiv(width, TILE_COLUMNS)
    preprocess_kernel[tiles, cdiv(num_frames, constants["FRAMES_A_RUN"])](
        pixels,
        table_FK,
        out_FCHW,
        num_frames,
        height,
        width,
        *out_FCHW.stride(),
        *(1 / (255 * deviation) for deviation in std),
        *(-centre / deviation for centre, deviation in zip(mean, std, strict=True)),
        **constants,
        **COMPILE_OPTIONS,
    )


def kernel_constants(channels: Sequence[str], *, is_yuv: bool) -> dict[str, int]:
    """The constants that the kernel is compiled for, by the names of its parameters."""
    return {
        **{f"{view.upper()}_AT": channels.index(view) if view in channels else -1 for view in VIEWS},
        "IS_YUV": is_yuv,
        "FRAMES_A_RUN": 1 if tuple(channels) == ("rgb",) else FRAMES_A_RUN,
        "NUM_COLUMNS": len(COLUMNS),
        "TILE_ROWS": TILE_ROWS,
        "TILE_COLUMNS": TILE_COLUMNS,
        "CHUNK_ROWS": CHUNK_ROWS,
        "CHUNK_COLUMNS": CHUNK_COLUMNS,
    }


def launch_temporal_shift(maps_NCHW: Tensor, neighbours_2N: Tensor, out_NCHW: Tensor) -> None:
    """Start the kernel (under ``TRITON_INTERPRET=1``: run it on the CPU), which fills ``out_NCHW``. Both tensors have
    the same layout, contiguous or channels-last."""
    from triton import cdiv

    from videoclf.kernels.temporal_shift_triton import temporal_shift_kernel

    num_frames, num_channels, height, width = maps_NCHW.shape
    num_values = num_channels * height * width
    if num_frames == 0 or num_values == 0:
        return
    before_N, after_N = neighbours_2N.contiguous()
    temporal_shift_kernel[cdiv(num_values, SHIFT_BLOCK), num_frames](
        maps_NCHW,
        before_N,
        after_N,
        out_NCHW,
        num_channels // SHIFTED_SHARE,
        num_channels,
        num_values,
        1 if memory_layout(maps_NCHW) == torch.channels_last else height * width,
        BLOCK=SHIFT_BLOCK,
        **COMPILE_OPTIONS,
    )


def memory_layout(maps_NCHW: Tensor) -> torch.memory_format:
    """The memory layout; channels-last only if the tensor is not also contiguous (one channel, or maps of one
    pixel)."""
    is_last = maps_NCHW.is_contiguous(memory_format=torch.channels_last) and not maps_NCHW.is_contiguous()
    return torch.channels_last if is_last else torch.contiguous_format
