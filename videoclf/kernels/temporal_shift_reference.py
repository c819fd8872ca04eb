"""The reference of temporal shift: features of neighbouring frames in part of the channels."""

from __future__ import annotations

import torch
from torch import Tensor

SHIFTED_SHARE = 8
"""One of this many channels comes from each side: TSM's choice for residual shifts (its figure 2)."""


def temporal_shift(maps_NCHW: Tensor, neighbours_2N: Tensor) -> Tensor:
    """The same shape, with the first eighth of the channels from the frame before and the second from the frame after.

    Args:
        maps_NCHW: feature maps of all frames of a batch of clips.
        neighbours_2N: int64, the frame before and the frame after each frame; the frame itself if there is none: zeros
            replace it.
    """
    num_moved = maps_NCHW.shape[1] // SHIFTED_SHARE
    before, after = maps_NCHW[:, :num_moved], maps_NCHW[:, num_moved : 2 * num_moved]
    own_N = torch.arange(maps_NCHW.shape[0], device=maps_NCHW.device)  # len() would be a constant in a trace
    is_there_2N111 = (neighbours_2N != own_N)[:, :, None, None, None]
    return torch.cat(
        [
            before[neighbours_2N[0]].where(is_there_2N111[0], 0),
            after[neighbours_2N[1]].where(is_there_2N111[1], 0),
            maps_NCHW[:, 2 * num_moved :],
        ],
        dim=1,
    )
