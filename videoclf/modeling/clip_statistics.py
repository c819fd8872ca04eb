"""Statistics of a clip's steps: their mean, their standard deviation, and their mean absolute change from step to
step."""

from __future__ import annotations

import torch
from torch import Tensor

from videoclf.modeling.padding import length_mask


def clip_statistics(steps_BTD: Tensor, num_steps: Tensor, *, variance_floor: float = 0.0) -> Tensor:
    """Compute the statistics of clips of different lengths.

    Args:
        steps_BTD: ``B×T×D`` float; values beyond a clip's length are ignored.
        num_steps: ``B`` int64, each 1 to T.
        variance_floor: is added to the variance. Where gradients are needed it must be positive: the slope of a square
            root at zero has no end, and a clip of one step has no deviation.

    Returns:
        ``B×3D``: mean, standard deviation, and mean absolute change; the last two are zero for a clip of one step (if
        there is no floor).
    """
    valid_BT1 = length_mask(num_steps, steps_BTD.shape[1])[:, :, None]
    mean_BD = masked_mean(steps_BTD, valid_BT1)
    squares_BTD = (steps_BTD - mean_BD[:, None]) ** 2
    deviation_BD = (masked_mean(squares_BTD, valid_BT1) + variance_floor).sqrt()
    changes_BTD = (steps_BTD[:, 1:] - steps_BTD[:, :-1]).abs()
    return torch.cat([mean_BD, deviation_BD, masked_mean(changes_BTD, valid_BT1[:, 1:])], dim=1)


def masked_mean(steps_BTD: Tensor, valid_BT1: Tensor) -> Tensor:
    """The mean over the valid steps, ``B×D``; zero of a clip without one.

    Args:
        steps_BTD: ``B×T×D``.
        valid_BT1: ``B×T×1`` bool.
    """
    return steps_BTD.where(valid_BT1, 0).sum(dim=1) / valid_BT1.sum(dim=1).clamp_min(1)
