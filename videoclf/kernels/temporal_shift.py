"""Temporal shift of features in one pass, with its gradient. (What the recipes show of neighbouring frames is part of
`kernels.preprocess`: there the pixels are in registers already.)

``out[n, c] = maps[before n, c]`` for the first eighth of the channels, ``maps[after n, c]`` for the second and
``maps[n, c]`` beyond; zero where there is no such frame (Lin et al. 2019, https://arxiv.org/abs/1811.08383). The
gradient is the same operation with the neighbours exchanged: what came from the frame before goes back there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from videoclf.kernels.availability import why_no_kernels
from videoclf.kernels.temporal_shift_reference import SHIFTED_SHARE
from videoclf.kernels.temporal_shift_reference import temporal_shift as temporal_shift_reference

BLOCK = 1024
"""Values a program moves: eight a thread."""

COMPILE_OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}


@torch.library.custom_op("videoclf::temporal_shift", mutates_args=())
def temporal_shift(maps_NCHW: Tensor, neighbours_2N: Tensor) -> Tensor:
    """The same shape and layout, an eighth of the channels from the frame before, an eighth from the frame after.

    Args:
        maps_NCHW: of all frames of a batch of clips; float, contiguous or channels-last.
        neighbours_2N: int64, the frame before and the frame after of each; the frame itself where there is none. Each
            is its neighbour's neighbour, as `modeling.backbones.temporal_shift.neighbours` has them.
    """
    layout = _layout(maps_NCHW)
    if why_no_kernels(maps_NCHW.device) is not None:
        return temporal_shift_reference(maps_NCHW, neighbours_2N).contiguous(memory_format=layout)
    out = torch.empty_like(maps_NCHW, memory_format=layout)
    with torch.cuda.device(maps_NCHW.device):
        launch(maps_NCHW.contiguous(memory_format=layout), neighbours_2N, out)
    return out


@temporal_shift.register_fake
def _(maps_NCHW: Tensor, _: Tensor) -> Tensor:
    return torch.empty_like(maps_NCHW, memory_format=_layout(maps_NCHW))


def launch(maps_NCHW: Tensor, neighbours_2N: Tensor, out_NCHW: Tensor) -> None:
    """Start the kernel (under ``TRITON_INTERPRET=1``: run it on the CPU), which fills ``out_NCHW``; both in one layout,
    contiguous or channels-last."""
    from triton import cdiv

    from videoclf.kernels.temporal_shift_triton import temporal_shift_kernel

    num_frames, num_channels, height, width = maps_NCHW.shape
    num_values = num_channels * height * width
    if num_frames == 0 or num_values == 0:
        return
    before_N, after_N = neighbours_2N.contiguous()
    temporal_shift_kernel[cdiv(num_values, BLOCK), num_frames](
        maps_NCHW,
        before_N,
        after_N,
        out_NCHW,
        num_channels // SHIFTED_SHARE,
        num_channels,
        num_values,
        1 if _layout(maps_NCHW) == torch.channels_last else height * width,
        BLOCK=BLOCK,
        **COMPILE_OPTIONS,
    )


def _layout(maps_NCHW: Tensor) -> torch.memory_format:
    """Channels-last only where that is not contiguous, too (one channel, or maps of one pixel)."""
    is_last = maps_NCHW.is_contiguous(memory_format=torch.channels_last) and not maps_NCHW.is_contiguous()
    return torch.channels_last if is_last else torch.contiguous_format


def _keep_neighbours(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG001 - torch names it
    ctx.save_for_backward(inputs[1])


def _backward(ctx: Any, gradient_NCHW: Tensor) -> tuple[Tensor, None]:
    (neighbours_2N,) = ctx.saved_tensors
    return temporal_shift(gradient_NCHW, neighbours_2N.flip(0)), None


temporal_shift.register_autograd(_backward, setup_context=_keep_neighbours)
