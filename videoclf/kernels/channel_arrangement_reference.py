"""The reference of channel arrangement: what a recipe's ``channels`` show of a frame and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

GREY = (0.299, 0.587, 0.114)
"""Luma weights of BT.601."""

VIEWS = ("rgb", "gray_triplet", "difference")
"""The views that `arrange_channels` can produce, three channels each."""


def arrange_channels(rgb_T: Tensor, channels: Sequence[str], mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The network's input for a clip's frames, normalised.

    Args:
        rgb_T: ``T×3×h×w`` float32 in [0, 1], one window in time order. The first and the last frame replace their
            missing neighbours.
        channels: of ``rgb`` (the frame), ``gray_triplet`` (the grey frame before, the frame's own, the one after) and
            ``difference`` (½ + (after - before) / 2).
        mean: subtracted from each channel of a view, on the scale where white is 1.
        std: each channel is then divided by it.

    Returns:
        ``T×3V×h×w`` float32: V views of three channels each.
    """
    view = {"rgb": lambda frames: frames, "gray_triplet": _gray_triplet, "difference": _difference}
    mean_311, std_311 = (rgb_T.new_tensor(list(values)).view(3, 1, 1) for values in (mean, std))
    return torch.cat([(view[name](rgb_T) - mean_311) / std_311 for name in channels], dim=1)


def _gray_triplet(rgb_T: Tensor) -> Tensor:
    """Grey images of the frame before, the frame, and the frame after, as three channels."""
    grey_T1 = (rgb_T * rgb_T.new_tensor(GREY).view(3, 1, 1)).sum(dim=1, keepdim=True)
    return torch.cat([_before(grey_T1), grey_T1, _after(grey_T1)], dim=1)


def _difference(rgb_T: Tensor) -> Tensor:
    """Half the change from the frame before to the frame after, around 0.5."""
    return 0.5 + (_after(rgb_T) - _before(rgb_T)) / 2


def _before(frames_T: Tensor) -> Tensor:
    return torch.cat([frames_T[:1], frames_T[:-1]])


def _after(frames_T: Tensor) -> Tensor:
    return torch.cat([frames_T[1:], frames_T[-1:]])
