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
