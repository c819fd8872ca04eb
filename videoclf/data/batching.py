"""Which clips share a batch: those of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import TypeVar

import numpy as np

Example = TypeVar("Example", bound=Sized)

_POOL_BATCHES = 4
"""Batches' worth of clips that are held and sorted together: enough to find likes, little enough to hold."""


def bucket_by_length(
    examples: Iterable[Example], batch_size: int, rng: np.random.Generator, *, starts_at_once: bool = True
) -> Iterator[Sequence[Example]]:
    """Batches of examples of like length, from a stream whose lengths nobody knows beforehand.

    A pool of four batches' worth is sorted by length, cut into batches, and these are given in random order; so a
    batch never holds the very shortest beside the very longest of its pool, and no order by length is learnt.

    Args:
        examples: in random order; ``len`` gives their steps.
        batch_size: examples a batch; the last pool may leave a smaller one.
        rng: breaks ties and orders the batches.
        starts_at_once: the first pool is a single batch, so that training starts as soon as that has been read; its
            clips are of any length. (UT-Interaction, batches of 8: 12.0% of all steps are padding instead of 10.4%.)
    """
    stream = iter(examples)
    num_batches = 1 if starts_at_once else _POOL_BATCHES
    while pool := list(islice(stream, num_batches * batch_size)):
        num_batches = _POOL_BATCHES
        shuffled = [pool[i] for i in rng.permutation(len(pool))]
        by_length = sorted(shuffled, key=len)
        batches = [by_length[start : start + batch_size] for start in range(0, len(pool), batch_size)]
        for i in rng.permutation(len(batches)):
            yield batches[i]
