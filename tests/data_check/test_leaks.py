from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.splits import Split
from videoclf.data_check import leaks
from videoclf.data_check.findings import Leak
from videoclf.errors import DatasetInvalidError, SplitLeaksError


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


def test_a_refusal_names_the_pairs_and_the_way_out() -> None:
    with pytest.raises(SplitLeaksError) as caught:
        leaks.refuse(leaks.leaking_groups(SPLIT), SPLIT, DATASET)
    message = str(caught.value)
    assert message.startswith(
        "clips: split='random:0' leaks, so its figures would be too high: group g1: a (train) and f"
    )
    assert "; and 1 more." in message
    assert message.endswith("allow_leaks=True; to list all: videoclf check clips --split random:0")
    assert isinstance(caught.value, DatasetInvalidError)


def test_the_command_it_names_groups_clips_alike() -> None:
    with pytest.raises(SplitLeaksError, match=r"check 'my clips' --split random:0 --group-regex '\^\(\[a-z\]\+\)_'$"):
        leaks.refuse(leaks.leaking_groups(SPLIT), SPLIT, Dataset("my clips", (), "^([a-z]+)_"))


def test_nothing_is_refused_where_nothing_leaks() -> None:
    leaks.refuse([], SPLIT, DATASET)
