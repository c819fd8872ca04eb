"""Chooses the clips of an epoch in which each class occurs equally often."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import cycle, islice

import numpy as np


def balanced_order(classes: Sequence[Hashable], rng: np.random.Generator) -> list[int]:
    """As many clips as there are, in random order, with equally many of each class (their numbers differ by one at
    most).

    No clip is repeated before all of its class have been used: for ``a a a a b b`` an epoch is three of the four ``a``
    and ``b b b``.

    Args:
        classes: the class of each clip, as any hashable value.
        rng: chooses the clips.

    Returns:
        positions in ``classes``.
    """
    members: dict[Hashable, list[int]] = {}
    for index, name in enumerate(classes):
        members.setdefault(name, []).append(index)
    lots = [_without_end(members[name], rng) for name in members]
    turns = islice(cycle(rng.permutation(len(lots))), len(classes))
    drawn = np.array([next(lots[turn]) for turn in turns], dtype=np.int64)
    return [int(index) for index in rng.permutation(drawn)]


def _without_end(indices: Sequence[int], rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(indices)
