from __future__ import annotations

from pathlib import Path

from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.splits import Split
from videoclf.data_check import leaks
from videoclf.data_check.findings import Leak


def clip(name: str, group: str | None = None) -> LabelledClip:
    return LabelledClip(Path(name), "walk", group)


SPLIT = Split(
    "random:0",
    train=(clip("a", "g1"), clip("b", "g2"), clip("c")),
    validation=(clip("d", "g2"), clip("e", "g3")),
    test=(clip("f", "g1"), clip("g", "g2"), clip("h")),
)
DATASET = Dataset("clips", ())
PART_OF = leaks.parts_of(SPLIT)


def sides(found: list[Leak]) -> list[tuple[str, str]]:
    return [(leak.first, leak.second) for leak in found]


def test_each_group_leaks_once_between_two_parts() -> None:
    assert sides(leaks.leaking_groups(SPLIT)) == [("a", "f"), ("b", "d"), ("b", "g"), ("d", "g")]


def test_clips_without_group_leak_none() -> None:
    assert leaks.leaking_groups(Split("random:0", (clip("a"),), (clip("b"),), (clip("c"),))) == []


def test_equal_files_leak_where_they_stand_in_two_parts() -> None:
    sets = [(Path("a"), Path("b")), (Path("b"), Path("c"), Path("h")), (Path("a"), Path("elsewhere"))]
    assert sides(leaks.leaking_exact_duplicates(sets, PART_OF)) == [("b", "h")]


def test_near_duplicates_in_two_parts_leak() -> None:
    pairs = [(Path("a"), Path("b")), (Path("a"), Path("e")), (Path("a"), Path("elsewhere"))]
    assert sides(leaks.leaking_near_duplicates(pairs, PART_OF)) == [("a", "e")]


def test_the_first_three_leaks_are_named() -> None:
    described = leaks.describe(leaks.leaking_groups(SPLIT), "the split")
    assert described.startswith("the split leaks, so its figures would be too high: group g1: a (train) and f")
    assert described.endswith("; and 1 more")
