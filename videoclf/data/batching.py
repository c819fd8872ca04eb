"""Which clips share a batch: those of like length, so that little of a batch is padding.

An epoch's order is cut into pools of a few batches' worth; what a pool holds follows from places in the order alone,
not from what can be read. So whoever goes on in the middle of an epoch reads one pool again, and processes that share
the work agree on every batch without asking one another.
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
    """Neighbours in an epoch's order whose lengths are compared. They are dealt in turn to the shards, each of which
    makes its own batches: the k-th batches of all shards together are one step."""

    start: int
    """The first place in the order."""
    stop: int
    """The place behind the last."""
    batch_size: int
    """Clips a batch, of one shard."""
    num_shards: int

    def places(self, shard: int) -> range:
        """Where in the order a shard's clips are."""
        return range(self.start + shard, self.stop, self.num_shards)

    @property
    def num_batches(self) -> int:
        """Of every shard; the first shard has the most clips."""
        return -(-len(self.places(0)) // self.batch_size)

    def batches(
        self, examples: Sequence[Example], ties: np.random.Generator, order: np.random.Generator
    ) -> list[list[Example]]:
        """A shard's examples, sorted by length and cut, in random order: so a batch never holds the very shortest
        beside the very longest of its pool, and no order by length is learnt.

        Args:
            examples: those that could be read; ``len`` gives their steps.
            ties: parts those of the same length.
            order: of the batches; in the same state for all shards, so that they meet clips of like length together.

        Returns:
            `num_batches` of them; where clips are missing, some are smaller or empty.
        """
        shuffled = [examples[i] for i in ties.permutation(len(examples))]
        by_length = sorted(shuffled, key=len)
        starts = (k * self.batch_size for k in order.permutation(self.num_batches))
        return [by_length[start : start + self.batch_size] for start in starts]


def make_pools(num_clips: int, batch_size: int, num_shards: int = 1, *, starts_at_once: bool = False) -> list[Pool]:
    """The pools of an epoch, one behind the other; the last may be smaller.

    Args:
        num_clips: of the epoch.
        batch_size: clips a batch, of one shard.
        num_shards: batches a step.
        starts_at_once: the first pool is a single step's worth, so that training starts as soon as that has been read;
            its clips are of any length.
    """
    step_clips = batch_size * num_shards
    first = min(num_clips, step_clips if starts_at_once else 0)
    starts = [*([0] if first else []), *range(first, num_clips, _POOL_BATCHES * step_clips)]
    return [Pool(start, stop, batch_size, num_shards) for start, stop in pairwise([*starts, num_clips])]
