"""Puts clips of different lengths into one tensor: padding and masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_sequences(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack sequences of different lengths, with zeros after the shorter ones.

    Args:
        sequences: each ``T_i×...``, at least one step long, with the same other dimensions.

    Returns:
        ``B×T×...``, where T is the longest, and ``B`` int64, the lengths.
    """
    num_steps = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.int64)
    return torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True), num_steps


def length_mask(num_steps: Tensor, max_steps: int) -> Tensor:
    """``B×T`` bool, true for steps within their clip; the lengths (``B`` int64) are from 1 to ``max_steps``."""
    return torch.arange(max_steps, device=num_steps.device) < num_steps[:, None]


def valid_steps(num_steps: Tensor, max_steps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The indices of the steps of a ``B×T×...`` tensor that are within their clips.

    Args:
        num_steps: ``B`` int64, each 1 to T, on the CPU: with a GPU one would have to wait to know N.
        max_steps: T.
        device: device of the tensor.

    Returns:
        Clip and step of each, ``N`` int64, clip by clip.
    """
    clip_N, step_N = length_mask(num_steps, max_steps).nonzero(as_tuple=True)
    return clip_N.to(device, non_blocking=True), step_N.to(device, non_blocking=True)
