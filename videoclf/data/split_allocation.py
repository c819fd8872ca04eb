"""Chooses units (groups, or single clips) for a part that should have about a given share of the clips.

Every class should be on both sides as far as units allow. Among the sets that are best in this respect, those within 5
points of the closest possible share are considered, and the seed chooses one of them. With up to 16 units every set is
considered; with more, sets are drawn until one fits, which takes one draw unless a few large units contain most of the
clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_TOLERANCE = 0.05
"""Of the clips: so far may a set be from the nearest possible share, so that seeds have a choice."""

_MAX_ENUMERATED_UNITS = 16
"""65,536 sets: some 10 ms with ten classes."""

_MAX_DRAWS = 50

_Sets: TypeAlias = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Unit:
    """Clips that stay together."""

    name: str
    num_clips: int
    classes: frozenset[str]
    """The classes of its clips."""


def choose_units(
    units: Sequence[Unit], num_wanted: float, num_divisible: int, seed: int, *, num_kept: int = 1
) -> frozenset[str]:
    """The names of the units for the part. The others keep clips of every class.

    >>> groups = [Unit("a", 60, frozenset({"walk"})), *(Unit(name, 10, frozenset({"walk"})) for name in "bcde")]
    >>> sorted(choose_units(groups, num_wanted=25, num_divisible=100, seed=1))
    ['b', 'd', 'e']

    Args:
        units: in any order.
        num_wanted: number of clips for the part.
        num_divisible: number of clips that the share refers to; the tolerance is 5 points of it.
        seed: chooses among the sets.
        num_kept: units of each class that the other side should keep, if the class has more: 2 if a validation part is
            taken from them too.
    """
    problem = _Problem(sorted(units, key=lambda unit: unit.name), num_wanted, _TOLERANCE * num_divisible, num_kept)
    rng = np.random.default_rng(seed)
    drawn = problem.draw(rng.permutation(len(units)).tolist())
    if len(units) <= _MAX_ENUMERATED_UNITS:
        fitting = problem.all_fitting()
        mask = sum(1 << i for i in drawn)
        if mask not in fitting:
            mask = int(rng.choice(fitting))
        drawn = {i for i in range(len(units)) if mask >> i & 1}
    else:
        drawn = problem.first_fitting(drawn, rng)
    return frozenset(problem.units[i].name for i in drawn)


class _Problem:
    """The units with what is asked of a set of them."""

    def __init__(self, units: Sequence[Unit], num_wanted: float, tolerance: float, num_kept: int) -> None:
        self.units = units
        self._num_wanted = num_wanted
        self._tolerance = tolerance
        self._num_units_of = Counter(label for unit in units for label in unit.classes)
        self._min_kept = {label: max(1, min(num_kept, num - 1)) for label, num in self._num_units_of.items()}

    def draw(self, order: Iterable[int]) -> set[int]:
        """Units in this order: first until every class is there, then until there are as many clips as wanted."""
        left = self._num_units_of.copy()
        taken: set[int] = set()
        covered: set[str] = set()
        num_taken = 0
        order = list(order)
        for is_covering in (True, False):
            for i in order:
                unit = self.units[i]
                is_wanted = unit.classes - covered if is_covering else num_taken < self._num_wanted
                if i in taken or not is_wanted or any(left[name] <= self._min_kept[name] for name in unit.classes):
                    continue
                taken.add(i)
                covered |= unit.classes
                num_taken += unit.num_clips
                left.subtract(unit.classes)
        return taken

    def all_fitting(self) -> _Sets:
        """Every set that does as well as can be, as bits: unit 0 is the lowest."""
        sets = np.arange(1 << len(self.units), dtype=np.uint32)
        sizes = np.zeros(len(sets), np.int64)
        for i, unit in enumerate(self.units):
            sizes += (sets >> i & 1) * unit.num_clips
        is_possible = np.ones(len(sets), bool)
        num_lacking = np.zeros(len(sets), np.int64)
        members = Counter(
            sum(1 << i for i, unit in enumerate(self.units) if label in unit.classes) for label in self._num_units_of
        )
        for bits, num_classes in members.items():  # classes that are in the same units count together
            kept = ~sets & np.uint32(bits)
            is_possible &= kept != 0
            if bits.bit_count() > 1:
                num_lacking += num_classes * ((sets & np.uint32(bits)) == 0)
            if self._asks_for_two(bits.bit_count()):
                num_lacking += num_classes * ((kept & (kept - np.uint32(1))) == 0)  # one bit
        is_best = is_possible & (num_lacking == num_lacking[is_possible].min())  # the empty set is always possible
        sizes = sizes[is_best]
        fitting: _Sets = sets[is_best][self._is_near(sizes, sizes)]
        return fitting

    def first_fitting(self, drawn: set[int], rng: np.random.Generator) -> set[int]:
        """This set if it fits, or the first one drawn that does, or the best of those drawn."""
        best, best_rank = drawn, self._rank(drawn)
        sizes = np.array(self._reachable_sizes())
        for number in range(_MAX_DRAWS):
            if best_rank[0] == 0 and self._is_near(np.array([self._size(best)]), sizes)[0]:
                break
            order = rng.permutation(len(self.units)).tolist()
            if number == _MAX_DRAWS - 1:  # where classes ask for more clips than wanted, small units do best
                order.sort(key=lambda i: self.units[i].num_clips)
            other = self.draw(order)
            if (rank := self._rank(other)) < best_rank:
                best, best_rank = other, rank
        return best

    def _asks_for_two(self, num_units: int) -> bool:
        return max(self._min_kept.values()) > 1 and num_units > 2

    def _is_near(self, sizes: npt.NDArray[np.int64], possible: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether sizes are within the tolerance of that possible one which is nearest to the one wanted (of two as
        near, of either)."""
        distances = np.abs(possible - self._num_wanted)
        nearest = np.unique(possible[distances <= distances.min() + 1e-9])
        is_near: npt.NDArray[np.bool_] = (np.abs(sizes[:, None] - nearest) <= self._tolerance + 1e-9).any(axis=1)
        return is_near

    def _size(self, taken: Iterable[int]) -> int:
        return sum(self.units[i].num_clips for i in taken)

    def _rank(self, taken: set[int]) -> tuple[int, float]:
        """The lower the better: classes that are lacking on a side, then clips too many or too few."""
        num_taken_of = Counter(label for i in taken for label in self.units[i].classes)
        num_lacking = 0
        for label, num in self._num_units_of.items():
            num_lacking += num > 1 and num_taken_of[label] == 0
            num_lacking += num - num_taken_of[label] < self._min_kept[label]
        return num_lacking, abs(self._size(taken) - self._num_wanted)

    def _reachable_sizes(self) -> list[int]:
        """Numbers of clips that sets of units have, whatever their classes: bit n of an integer stands for n clips."""
        reachable = 1
        for unit in self.units:
            if all(self._num_units_of[label] > 1 for label in unit.classes):
                reachable |= reachable << unit.num_clips
        return [n for n, bit in enumerate(reversed(f"{reachable:b}")) if bit == "1"]
