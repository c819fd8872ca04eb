"""Units that make about a share of the clips, held against every set of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoclf.data import split_allocation as share
from videoclf.data.split_allocation import Unit, choose_units

UNITS = st.lists(
    st.tuples(st.integers(1, 60), st.frozensets(st.sampled_from("abc"), min_size=1)), min_size=1, max_size=8
).map(lambda rows: [Unit(f"unit {i}", *row) for i, row in enumerate(rows)])
SEEDS = st.integers(0, 2**32)


def size_of(units: Iterable[Unit]) -> int:
    return sum(unit.num_clips for unit in units)


def sets_of(units: Sequence[Unit]) -> list[tuple[Unit, ...]]:
    return list(chain.from_iterable(combinations(units, num) for num in range(len(units) + 1)))


def classes_of(units: Iterable[Unit]) -> set[str]:
    return set().union(*(unit.classes for unit in units))


def others(units: Sequence[Unit], taken: Iterable[Unit]) -> list[Unit]:
    return [unit for unit in units if unit not in set(taken)]


@given(units=UNITS, seed=SEEDS, wanted=st.sampled_from([0.2, 0.25]))
@settings(max_examples=200)
def test_what_is_cut_off_is_within_5_points_of_the_nearest_possible_share(
    units: list[Unit], seed: int, wanted: float
) -> None:
    num_clips = size_of(units)
    names = choose_units(units, wanted * num_clips, num_clips, seed)
    taken = [unit for unit in units if unit.name in names]
    possible = [each for each in sets_of(units) if classes_of(others(units, each)) == classes_of(units)]
    most_classes = max(len(classes_of(each)) for each in possible)
    best = [size_of(each) for each in possible if len(classes_of(each)) == most_classes]
    distance = min(abs(size - wanted * num_clips) for size in best)
    nearest = [size for size in best if abs(size - wanted * num_clips) == distance]
    assert tuple(taken) in possible
    assert len(classes_of(taken)) == most_classes
    assert min(abs(size_of(taken) - size) for size in nearest) <= 0.05 * num_clips + 1e-6


@given(units=UNITS, seed=SEEDS)
def test_two_units_of_a_class_are_kept_where_no_class_is_lost_by_it(units: list[Unit], seed: int) -> None:
    num_clips = size_of(units)
    names = choose_units(units, 0.25 * num_clips, num_clips, seed, num_kept=2)

    def num_lacking(taken: Sequence[Unit]) -> int:
        total = 0
        for label in classes_of(units):
            num_units = sum(label in unit.classes for unit in units)
            num_kept = sum(label in unit.classes for unit in others(units, taken))
            total += (num_units > 1 and num_kept == num_units) + (num_units > 2 and num_kept < 2)
        return total

    possible = [each for each in sets_of(units) if classes_of(others(units, each)) == classes_of(units)]
    assert num_lacking([unit for unit in units if unit.name in names]) == min(map(num_lacking, possible))


def test_the_order_of_the_units_does_not_matter() -> None:
    units = [Unit(f"{i}", 1 + i % 5, frozenset({"ab"[i % 2]})) for i in range(12)]
    assert choose_units(units, 9, 34, 3) == choose_units(units[::-1], 9, 34, 3)


@pytest.mark.parametrize("num_units", [5, 40])
def test_seeds_choose_among_what_fits_and_never_the_large_unit(num_units: int) -> None:
    units = [Unit("large", 60, frozenset("a"))]
    units += [Unit(f"{i}", 40 // (num_units - 1), frozenset("a")) for i in range(num_units - 1)]
    chosen = {choose_units(units, 0.25 * size_of(units), size_of(units), seed) for seed in range(12)}
    assert len(chosen) > 3
    assert not any("large" in names for names in chosen)


def test_many_units_of_two_to_a_class_take_the_smaller_ones() -> None:
    units = [Unit(f"{i:02}", 1 if i % 2 else 9, frozenset({f"class {i // 2}"})) for i in range(40)]
    names = choose_units(units, 20, 200, 0)
    assert classes_of(unit for unit in units if unit.name in names) == classes_of(units)
    assert size_of(unit for unit in units if unit.name in names) == 20


def test_of_thousands_of_single_clips_the_share_is_taken_at_once() -> None:
    units = [Unit(f"{i:05}", 1, frozenset({f"class {i % 101}"})) for i in range(13_320)]
    started = time.perf_counter()
    assert len(choose_units(units, 3330, 13_320, 0, num_kept=2)) == 3330
    assert time.perf_counter() - started < 2


def test_drawing_finds_what_looking_at_every_set_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [Unit(f"{i}", size, frozenset("a")) for i, size in enumerate([50, 13, 11, 9, 7, 5, 3, 2])]
    monkeypatch.setattr(share, "_MAX_ENUMERATED_UNITS", 0)
    for seed in range(20):
        names = choose_units(units, 25, 100, seed)
        assert 20 <= size_of(unit for unit in units if unit.name in names) <= 30
