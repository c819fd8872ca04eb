"""Puts clips of similar length into the same batch, so that little of a batch is padding.

An epoch's order is divided into pools of a few batches. The contents of a pool follow from positions in the order
alone, not from what can be read. So a run that is resumed in the middle of an epoch reads one pool again, and processes
that share the work agree on every batch without communication.
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

Example = TypeVar("Example", bound=Sized)

_POOL_BATCHES = 4
"""Batches' worth of clips that are held and sorted together: enough to find likes, little enough to hold."""


@dataclass(frozen=True)
class Pool:
    """Neighbours in an epoch's order whose lengths are compared. They are assigned in turn to the shards, each of which
    makes its own batches: the k-th batches of all shards together are one step."""

    start: int
    """The first position in the order."""
    stop: int
    """The position after the last."""
    batch_size: int
    """Clips per batch of one shard."""
    num_shards: int

    def places(self, shard: int) -> range:
        """The positions of a shard's clips in the order."""
        return range(self.start + shard, self.stop, self.num_shards)

    @property
    def num_batches(self) -> int:
        """Number of batches of every shard; the first shard has the most clips."""
        return -(-len(self.places(0)) // self.batch_size)

    def batches(
        self, examples: Sequence[Example], ties: np.random.Generator, order: np.random.Generator
    ) -> list[list[Example]]:
        """Sort a shard's examples by length, divide them, and put the batches in random order. So no batch contains the
        shortest and the longest of its pool, and no order by length can be learned.

        Args:
            examples: those that could be read; ``len`` gives their steps.
            ties: orders those of the same length.
            order: orders the batches. It has the same state for all shards, so that their steps have similar lengths.

        Returns:
            `num_batches` batches; if clips are missing, some are smaller or empty.
        """
        shuffled = [examples[i] for i in ties.permutation(len(examples))]
        by_length = sorted(shuffled, key=len)
        starts = (k * self.batch_size for k in order.permutation(self.num_batches))
        return [by_length[start : start + self.batch_size] for start in starts]


def make_pools(num_clips: int, batch_size: int, num_shards: int = 1, *, starts_at_once: bool = False) -> list[Pool]:
    """Divide an epoch into consecutive pools; the last may be smaller.

    Args:
        num_clips: clips in the epoch.
        batch_size: clips per batch of one shard.
        num_shards: batches per step.
        starts_at_once: the first pool is a single step, so that training starts as soon as that has been read; its
            clips have any length.
    """
    step_clips = batch_size * num_shards
    first = min(num_clips, step_clips if starts_at_once else 0)
    starts = [*([0] if first else []), *range(first, num_clips, _POOL_BATCHES * step_clips)]
    return [Pool(start, stop, batch_size, num_shards) for start, stop in pairwise([*starts, num_clips])]
