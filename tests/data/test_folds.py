"""Folds of a cross-validation: every group is tested once, and never trained on then."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.folds import describe_folds, make_folds
from videoclf.errors import DatasetInvalidError, UsageInvalidError

GROUPED = Dataset(
    "data",
    tuple(
        LabelledClip(Path(f"{label}/{group}_{i}.avi"), label, group)
        for label in ("walk", "run")
        for number, group in enumerate(("ann", "bob", "cid", "dan", "eve"))
        for i in range(1 + number)
    ),
)
UNGROUPED = Dataset(
    "data", tuple(LabelledClip(Path(f"{label}{i}.avi"), label, None) for label in ("a", "b") for i in range(6))
)


def test_every_group_is_the_test_part_once() -> None:
    folds = make_folds(GROUPED)
    assert [fold.name for fold in folds] == ["ann", "bob", "cid", "dan", "eve"]
    assert Counter(clip for fold in folds for clip in fold.split.test) == Counter(GROUPED.clips)


def test_no_group_is_on_two_sides() -> None:
    for fold in make_folds(GROUPED):
        sides = [{clip.group for clip in part} for part in (fold.split.train, fold.split.validation, fold.split.test)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 5


def test_groups_are_dealt_into_fewer_folds_of_like_size() -> None:
    folds = make_folds(GROUPED, num_folds=2)
    assert sorted(name for fold in folds for name in fold.name.split(",")) == ["ann", "bob", "cid", "dan", "eve"]
    assert {len(fold.split.test) for fold in folds} == {14, 16}


def test_random_folds_spread_every_class_evenly() -> None:
    folds = make_folds(UNGROUPED, "random", num_folds=3)
    assert [Counter(clip.label for clip in fold.split.test) for fold in folds] == [{"a": 2, "b": 2}] * 3
    assert len({clip.path for fold in folds for clip in fold.split.test}) == 12


def test_random_folds_leave_clips_the_groups_they_have() -> None:
    for dataset in (UNGROUPED, GROUPED):
        for fold in make_folds(dataset, "random", num_folds=3):
            assert {*fold.split.train, *fold.split.validation, *fold.split.test} == set(dataset.clips)


def test_unknown_classes_are_tested_and_never_learnt() -> None:
    for fold in make_folds(GROUPED, unknown=["run"]):
        assert {clip.label for clip in (*fold.split.train, *fold.split.validation)} == {"walk"}
        assert {clip.label for clip in fold.split.test} == {"walk", "run"}


def test_an_unknown_class_may_be_in_one_group_only() -> None:
    rare = LabelledClip(Path("jump/ann.avi"), "jump", "ann")
    dataset = Dataset("data", (*GROUPED.clips, rare))
    with pytest.raises(DatasetInvalidError, match="'jump' has test clips but none to train on"):
        make_folds(dataset)
    assert [rare in fold.split.test for fold in make_folds(dataset, unknown=["jump"])] == [True, *[False] * 4]
    assert len(make_folds(dataset, "random", num_folds=3, unknown=["jump"])) == 3


def test_a_clip_without_group_is_a_group_of_its_own() -> None:
    alone = LabelledClip(Path("run/alone.avi"), "run", None)
    folds = make_folds(Dataset("data", (*GROUPED.clips, alone)))
    assert [fold.split.test for fold in folds if fold.name == "run/alone.avi"] == [(alone,)]
    assert sum(alone in fold.split.test for fold in folds) == 1
    assert len(folds) == 6


def test_a_group_may_be_called_anything() -> None:
    clips = tuple(replace(clip, group=f" {clip.group}, the first") for clip in GROUPED.clips)
    assert len(make_folds(Dataset("data", clips))) == 5


def test_random_folds_of_several_labels_count_each_by_itself() -> None:
    clips = [
        LabelledClip(Path(f"{i}.avi"), ("walk|talk", "walk", "talk")[i % 3 if i else 0], None) for i in range(3, 15)
    ]
    rare = LabelledClip(Path("rare.avi"), "talk|walk", None)
    dataset = Dataset("data", (*clips, rare))
    with pytest.raises(UsageInvalidError, match=r"'talk\|walk', has 1 clips"):
        make_folds(dataset, "random", num_folds=3)
    assert len(make_folds(dataset, "random", num_folds=3, has_several=True)) == 3


def test_folds_of_many_clips_are_made_in_seconds() -> None:
    clips = [
        LabelledClip(Path(f"{label}/g{i % 25}_{i}.avi"), label, f"g{i % 25}") for label in "ab" for i in range(5000)
    ]
    started = time.perf_counter()
    assert len(make_folds(Dataset("data", tuple(clips)), num_folds=10)) == 10
    seconds = time.perf_counter() - started
    assert seconds < 15  # about one; with each clip looked for in a list, more than a minute


def test_without_groups_the_remedy_is_named() -> None:
    with pytest.raises(DatasetInvalidError, match="contain no groups .*by='random'"):
        make_folds(UNGROUPED)


@pytest.mark.parametrize(
    ("by", "num_folds"), [("group", 1), ("group", 6), ("random", 2), ("random", 7), ("official", 2), ("x", None)]
)
def test_what_cannot_be_is_refused(by: str, num_folds: int | None) -> None:
    dataset = UNGROUPED if by == "random" else GROUPED
    with pytest.raises(UsageInvalidError, match="num_folds|by"):
        make_folds(dataset, by, num_folds=num_folds)


def test_the_parts_sizes_are_one_line() -> None:
    assert describe_folds(make_folds(UNGROUPED, "random", num_folds=3))[0] == (
        "3 folds: 4 clips to train, 4 to validate, 4 to test"
    )
    assert (
        describe_folds(make_folds(GROUPED))[0]
        == "5 folds: 16 to 22 clips to train, 4 to 6 to validate, 2 to 10 to test"
    )


def test_validation_of_every_fold_leaves_the_large_group_in_training() -> None:
    clips = [
        LabelledClip(Path(f"{g}{i}"), "ab"[i % 2], f"g{g}")
        for g, n in enumerate((60, 10, 10, 10, 10))
        for i in range(n)
    ]
    folds = make_folds(Dataset("data", tuple(clips)))
    assert [len(fold.split.train) for fold in folds] == [30, 70, 70, 70, 70]


def test_folds_whose_classes_lack_validation_clips_are_told_in_one_line() -> None:
    rare = tuple(LabelledClip(Path(f"jump/{group}.avi"), "jump", group) for group in ("ann", "bob"))
    lines = describe_folds(make_folds(Dataset("data", (*GROUPED.clips, *rare))))
    assert len([line for line in lines if "validation has no clips of 'jump'" in line]) == 1


def test_a_pattern_that_finds_one_group_makes_no_folds() -> None:
    clips = tuple(replace(clip, group="v") for clip in GROUPED.clips)
    with pytest.raises(
        DatasetInvalidError, match="group_regex='\\^v': finds only one group in data, 'v'; .*by='random'"
    ):
        make_folds(Dataset("data", clips, group_regex="^v"))
