"""Temporal shift of features in one pass, with its gradient. (The recipe's views of neighbouring frames are part of
`kernels.preprocess`, where the pixels are already in registers.)

``out[n, c] = maps[before n, c]`` for the first eighth of the channels, ``maps[after n, c]`` for the second and
``maps[n, c]`` for the others; zero if there is no such frame (Lin et al. 2019, https://arxiv.org/abs/1811.08383). The
gradient is the same operation with the neighbours exchanged: what came from the frame before goes back to it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from videoclf.kernels.availability import why_no_kernels
from videoclf.kernels.launch import launch_temporal_shift, memory_layout
from videoclf.kernels.temporal_shift_reference import temporal_shift as temporal_shift_reference


@torch.library.custom_op("videoclf::temporal_shift", mutates_args=())
def temporal_shift(maps_NCHW: Tensor, neighbours_2N: Tensor) -> Tensor:
    """The same shape and layout, with an eighth of the channels from the frame before and an eighth from the frame
    after.

    Args:
        maps_NCHW: feature maps of all frames of a batch of clips; float, contiguous or channels-last.
        neighbours_2N: int64, the frame before and the frame after each frame; the frame itself if there is none. The
            relation is mutual, as `modeling.backbones.temporal_shift.neighbours` returns it.
    """
    layout = memory_layout(maps_NCHW)
    if why_no_kernels(maps_NCHW.device) is not None:
        return temporal_shift_reference(maps_NCHW, neighbours_2N).contiguous(memory_format=layout)
    out = torch.empty_like(maps_NCHW, memory_format=layout)
    with torch.cuda.device(maps_NCHW.device):
        launch_temporal_shift(maps_NCHW.contiguous(memory_format=layout), neighbours_2N, out)
    return out


@temporal_shift.register_fake
def _(maps_NCHW: Tensor, _: Tensor) -> Tensor:
    return torch.empty_like(maps_NCHW, memory_format=memory_layout(maps_NCHW))


def _keep_neighbours(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG001 - torch names it
    ctx.save_for_backward(inputs[1])


def _backward(ctx: Any, gradient_NCHW: Tensor) -> tuple[Tensor, None]:
    (neighbours_2N,) = ctx.saved_tensors
    return temporal_shift(gradient_NCHW, neighbours_2N.flip(0)), None


temporal_shift.register_autograd(_backward, setup_context=_keep_neighbours)
