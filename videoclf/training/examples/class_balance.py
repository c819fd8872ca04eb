"""Which clips an epoch has where each class is to be drawn equally often."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import cycle, islice

import numpy as np


def balanced_order(classes: Sequence[Hashable], rng: np.random.Generator) -> list[int]:
    """As many clips as there are, in random order, as many of each class as of any other, give or take one.

    No clip comes again before all of its class have come: of ``a a a a b b`` an epoch is three of the four ``a`` and
    ``b b b``.

    Args:
        classes: of each clip, in any form that can be told apart.
        rng: chooses.

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
