"""Clips of different lengths in one tensor: padding and masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad_sequences(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack sequences of different lengths, zeros behind the shorter ones.

    Args:
        sequences: each ``T_i×...``, at least one step long, alike in the other dimensions.

    Returns:
        ``B×T×...`` with T the longest, and ``B`` int64 the lengths.
    """
    num_steps = torch.tensor([len(sequence) for sequence in sequences], dtype=torch.int64)
    return torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True), num_steps


def length_mask(num_steps: Tensor, max_steps: int) -> Tensor:
    """``B×T`` bool, true where a step lies within its clip; the lengths (``B`` int64) go from 1 to ``max_steps``."""
    return torch.arange(max_steps, device=num_steps.device) < num_steps[:, None]


def valid_steps(num_steps: Tensor, max_steps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which steps of a ``B×T×...`` tensor lie within their clips, to index it with.

    Args:
        num_steps: ``B`` int64, each 1 to T, on the CPU: a GPU would have to be waited for to know N.
        max_steps: T.
        device: of the tensor.

    Returns:
        clip and step of each, ``N`` int64, clip after clip.
    """
    clip_N, step_N = length_mask(num_steps, max_steps).nonzero(as_tuple=True)
    return clip_N.to(device, non_blocking=True), step_N.to(device, non_blocking=True)
