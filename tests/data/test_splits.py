from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoclf.data.clip_list import Part
from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.splits import Split, make_split
from videoclf.errors import DatasetInvalidError, UsageInvalidError

Row = tuple[str, str | None]
"""Label and group of a clip."""


def dataset_of(rows: list[Row]) -> Dataset:
    return Dataset("clips.csv", tuple(LabelledClip(Path(f"{i:04}.avi"), *row) for i, row in enumerate(rows)))


def groups_of(clips: tuple[LabelledClip, ...]) -> set[str | None]:
    return {clip.group for clip in clips}


def sides_of(split: Split) -> tuple[tuple[LabelledClip, ...], ...]:
    return split.train, split.validation, split.test


def own_groups(num_classes: int, num_groups: int, num_clips: int) -> list[Row]:
    """Groups that belong to one class each, all of one size."""
    classes = range(num_classes)
    return [(f"class{c}", f"c{c}g{g}") for c in classes for g in range(num_groups) for _ in range(num_clips)]


def shared_groups(num_classes: int, num_groups: int, num_clips: int) -> list[Row]:
    """Groups that every class has clips of, as UCF101's numbers are read."""
    classes = range(num_classes)
    return [(f"class{c}", f"g{g:02}") for c in classes for g in range(num_groups) for _ in range(num_clips)]


SEEDS = st.integers(0, 2**32)
BALANCED = st.builds(
    lambda rows, *sizes: rows(*sizes),
    st.sampled_from([own_groups, shared_groups]),
    st.integers(1, 5),
    st.integers(4, 7),
    st.integers(1, 4),
)
"""One size of group, four groups or more of each class."""
ANY_GROUPS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("12345678")), min_size=1, max_size=40)
UNGROUPED = st.lists(st.tuples(st.sampled_from("abcd"), st.none()), min_size=1, max_size=40)


@given(rows=ANY_GROUPS | UNGROUPED, kind=st.sampled_from(["group", "random", "none", "leave-out"]), seed=SEEDS)
@settings(deadline=None)
def test_parts_are_disjoint_and_complete_and_every_class_keeps_training_clips(
    rows: list[Row], kind: str, seed: int
) -> None:
    dataset = dataset_of(rows)
    spec = {"none": "none", "leave-out": f"leave-out:{rows[0][1]}"}.get(kind, f"{kind}:{seed}")
    try:
        split = make_split(dataset, spec)
    except DatasetInvalidError:
        return  # what cannot be parted is another test's fact
    assert Counter(clip for side in sides_of(split) for clip in side) == Counter(dataset.clips)
    assert {clip.label for clip in split.test} <= {clip.label for clip in split.train}
    if kind != "leave-out":
        assert {clip.label for clip in split.train} == set(dataset.labels)


@given(rows=ANY_GROUPS, seed=SEEDS)
@settings(deadline=None)
def test_no_tested_group_is_trained_or_chosen_on(rows: list[Row], seed: int) -> None:
    try:
        split = make_split(dataset_of(rows), f"group:{seed}")
    except DatasetInvalidError:
        return
    assert not groups_of(split.test) & groups_of(split.train + split.validation)


@given(rows=BALANCED, seed=SEEDS)
@settings(deadline=None)
def test_where_every_class_has_four_groups_no_part_is_empty_and_no_group_is_parted(rows: list[Row], seed: int) -> None:
    split = make_split(dataset_of(rows), f"group:{seed}")
    assert split.train
    assert split.validation
    assert split.test
    assert not groups_of(split.train) & groups_of(split.validation)


@given(rows=BALANCED)
@settings(deadline=None)
def test_validation_of_all_clips_or_of_what_is_left_is_cut_by_whole_groups(rows: list[Row]) -> None:
    for spec in ("none", f"leave-out:{rows[0][1]}"):
        split = make_split(dataset_of(rows), spec)
        assert split.validation
        assert not groups_of(split.train) & groups_of(split.validation)


@given(rows=UNGROUPED, seed=SEEDS)
@settings(deadline=None)
def test_a_random_split_tests_every_class_of_two_or_more_clips(rows: list[Row], seed: int) -> None:
    try:
        split = make_split(dataset_of(rows), f"random:{seed}")
    except DatasetInvalidError:
        return
    num_clips = Counter(label for label, _ in rows)
    assert {clip.label for clip in split.test} == {label for label, num in num_clips.items() if num > 1}


@given(data=st.data(), kind=st.sampled_from(["group", "random"]))
@settings(deadline=None, max_examples=30)
def test_a_split_does_not_depend_on_the_order_of_the_clips(data: st.DataObject, kind: str) -> None:
    clips = dataset_of(own_groups(2, 4, 2)).clips
    shuffled = tuple(data.draw(st.permutations(clips)))
    splits = [make_split(Dataset("clips.csv", order), f"{kind}:5") for order in (clips, shuffled)]
    assert [set(side) for side in sides_of(splits[0])] == [set(side) for side in sides_of(splits[1])]


@pytest.mark.parametrize("kind", ["group", "random"])
def test_seeds_choose_the_parts(kind: str) -> None:
    dataset = dataset_of(own_groups(4, 6, 2))
    assert make_split(dataset, f"{kind}:1") == make_split(dataset, f"{kind}:1")
    assert len({make_split(dataset, f"{kind}:{seed}").test for seed in range(8)}) > 1


def test_a_quarter_is_tested_and_a_fifth_of_the_rest_chosen_on() -> None:
    split = make_split(dataset_of(shared_groups(3, 20, 2)), "group:0")
    assert repr(split) == "Split(group:0: 72 train, 18 validation, 30 test)"


@pytest.mark.parametrize(("rows", "spec"), [(own_groups(2, 4, 1), "group:0"), ([("a", None)] * 8, "random:0")])
def test_names_with_groups_are_split_by_them_and_others_at_random(rows: list[Row], spec: str) -> None:
    assert make_split(dataset_of(rows)) == make_split(dataset_of(rows), spec)


def test_a_random_split_warns_that_its_figures_are_too_high() -> None:
    (warning,) = make_split(dataset_of(own_groups(2, 4, 2)), "random:0").warnings
    assert "figures on it are higher than on new videos" in warning


def test_a_split_by_groups_warns_of_nothing() -> None:
    assert make_split(dataset_of(own_groups(2, 4, 2)), "group:0").warnings == ()


def test_validation_cut_from_clips_without_groups_is_warned_of() -> None:
    (warning,) = make_split(dataset_of([("a", None)] * 8), "none").warnings
    assert "names contain no groups" in warning


def test_groups_left_out_are_what_is_tested() -> None:
    split = make_split(dataset_of(shared_groups(2, 6, 2)), "leave-out: g01,g04 ,")
    assert groups_of(split.test) == {"g01", "g04"}


def test_with_none_every_clip_is_trained_or_chosen_on() -> None:
    split = make_split(dataset_of(shared_groups(2, 6, 2)), "none")
    assert (len(split.train) + len(split.validation), split.test) == (24, ())


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("halves", "split='halves': unknown; use group:SEED, random:SEED, official:N, given, leave-out:GROUP"),
        ("none:1", "split='none:1': unknown"),
        ("group:x", "'x' is not a whole number"),
        ("random:1.5", "'1.5' is not a whole number"),
        ("group:-1", "'-1' is below 0"),
        ("official:one", "'one' is not a whole number"),
        (
            "leave-out:g01,g99",
            "split='leave-out:g01,g99': g99: no such group; the groups of clips.csv are g00, g01",
        ),
        ("leave-out:", "split='leave-out:': nothing named"),
        ("leave-out:g00,g01,g02,g03", "leaves 0 clips to train, 0 to validate and 8 to test"),
    ],
)
def test_a_spec_that_cannot_be_followed_says_why(spec: str, complaint: str) -> None:
    with pytest.raises((UsageInvalidError, DatasetInvalidError)) as caught:
        make_split(dataset_of(shared_groups(2, 4, 1)), spec)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("rows", [[("a", None)] * 4, [("a", "g1")] * 4])
def test_names_without_groups_cannot_be_split_by_them(rows: list[Row]) -> None:
    with pytest.raises(DatasetInvalidError, match=r"clips\.csv contain no groups .*group_regex.*split='random:0'"):
        make_split(dataset_of(rows), "group:0")


@pytest.mark.parametrize("rows", [[("a", None)], [("a", None)] * 2, [("a", None), ("b", None), ("c", None)]])
def test_too_few_clips_to_part_are_counted(rows: list[Row]) -> None:
    with pytest.raises(
        DatasetInvalidError, match=r"to validate and .* to test; each part needs at least one: add clips"
    ):
        make_split(dataset_of(rows))


def test_a_class_that_could_only_be_tested_is_named() -> None:
    rows: list[Row] = [*shared_groups(1, 4, 1), ("onlyhere", "g02")]
    with pytest.raises(DatasetInvalidError, match="class 'onlyhere' has test clips but none to train on"):
        make_split(dataset_of(rows), "leave-out:g02")


@given(rows=ANY_GROUPS, seed=SEEDS)
def test_no_trained_group_is_chosen_on(rows: list[Row], seed: int) -> None:
    try:
        split = make_split(dataset_of(rows), f"group:{seed}")
    except DatasetInvalidError:
        return
    assert not groups_of(split.train) & groups_of(split.validation)


def test_clips_without_a_group_among_others_count_as_one_each() -> None:
    rows: list[Row] = [*shared_groups(2, 6, 2), *[("class0", None)] * 6]
    split = make_split(dataset_of(rows), "group:0")
    assert split.warnings == ("6 of 30 clips have no group: each of them counts as its own group",)
    assert sum(len(side) for side in sides_of(split)) == 30


def test_a_group_left_alone_is_not_parted() -> None:
    with pytest.raises(DatasetInvalidError, match="0 to validate"):
        make_split(dataset_of(shared_groups(2, 2, 4)), "leave-out:g01")


def test_a_class_of_one_large_group_leaves_groups_to_choose_on() -> None:
    rows: list[Row] = [*own_groups(1, 10, 10), *[("idle", "g99")] * 300]
    split = make_split(dataset_of(rows), "group:0")
    assert split.validation
    assert split.test


def test_thousands_of_clips_are_split_at_once() -> None:
    split = make_split(dataset_of([(f"class{i % 101}", None) for i in range(13_320)]), "random:0")
    assert len(split.test) == 3330


def sized(*sizes: int) -> list[Row]:
    """Groups of these sizes, each with clips of two classes."""
    return [("ab"[i % 2], f"g{number}") for number, size in enumerate(sizes) for i in range(size)]


@given(seed=st.integers(0, 1000))
def test_one_large_group_is_trained_on_whatever_the_seed(seed: int) -> None:
    split = make_split(dataset_of(sized(60, 10, 10, 10, 10)), f"group:{seed}")
    assert len(split.train) == 60
    assert split.warnings == ()


def test_validation_beside_a_group_left_out_leaves_the_large_group_in_training() -> None:
    split = make_split(dataset_of(sized(60, 10, 10, 10, 10)), "leave-out:g1")
    assert split.describe() == ("split leave-out:g1: 70 clips to train, 20 to validate, 10 to test (in 2, 2, 1 groups)")


def test_a_class_of_three_groups_is_in_every_part() -> None:
    rows: list[Row] = [*own_groups(3, 3, 5), *own_groups(1, 9, 5)]
    split = make_split(dataset_of(rows), "group:0")
    assert all({clip.label for clip in side} == {"class0", "class1", "class2"} for side in sides_of(split))


def test_parts_that_are_far_from_their_share_are_warned_of() -> None:
    (warning,) = make_split(dataset_of(sized(50, 50, 2)), "leave-out:g2").warnings
    assert warning.startswith(
        "split='leave-out:g2': validation is 50% of the clips outside the test part, not about 20%"
    )


def test_classes_that_a_part_lacks_are_named() -> None:
    rows: list[Row] = [*shared_groups(2, 8, 3), ("rare", "g00"), ("rare", "g01")]
    warnings = make_split(dataset_of(rows), "group:0").warnings
    assert warnings == ("validation has no clips of 'rare': figures do not cover them; more groups would help",)


def test_a_pattern_that_finds_one_group_is_refused() -> None:
    dataset = replace(dataset_of([("a", "v"), ("b", "v")] * 4), group_regex="^v")
    with pytest.raises(DatasetInvalidError, match=r"group_regex='\^v': finds only one group in clips\.csv, 'v'"):
        make_split(dataset)


TRAIN: list[Part] = ["train"]
TEST: list[Part] = ["test"]


def given_parts(*parts: Part | None) -> Dataset:
    clips = [LabelledClip(Path(f"{i}{label}.avi"), label, None, part) for i, part in enumerate(parts) for label in "ab"]
    return Dataset("data", tuple(clips))


def test_parts_that_the_data_give_are_the_default() -> None:
    split = make_split(given_parts("train", "validation", "test"))
    assert split.spec == "given"
    assert [{clip.part for clip in side} for side in sides_of(split)] == [{"train"}, {"validation"}, {"test"}]
    assert split.warnings == ()


def test_without_a_given_validation_part_it_is_cut_from_the_training_part() -> None:
    split = make_split(given_parts(*TRAIN * 10, "test"))
    assert {clip.part for clip in split.train + split.validation} == {"train"}
    assert len(split.validation) == 4


def test_without_a_given_test_part_nothing_is_tested_and_that_is_said() -> None:
    split = make_split(given_parts("train", "validation"))
    assert split.test == ()
    assert split.warnings[0].startswith("data has no test part")


def test_clips_that_the_data_give_to_no_part_are_counted_and_left_out() -> None:
    split = make_split(given_parts("train", "validation", "test", None))
    assert split.warnings == ("2 clips are not assigned to a part and are left out, the first is 3a.avi",)


def test_another_split_than_the_given_one_is_said() -> None:
    warnings = make_split(given_parts(*TRAIN * 4, *TEST * 4), "random:0").warnings
    assert "split='random:0': replaces the parts that data assigns to its clips" in warnings


@pytest.mark.parametrize(
    ("dataset", "complaint"),
    [
        (dataset_of([("a", None)] * 8), "split='given': clips.csv assigns no clip to a part"),
        (given_parts("test", "validation"), "split='given': data has no clips to train on"),
    ],
)
def test_a_given_split_that_is_not_there_is_refused(dataset: Dataset, complaint: str) -> None:
    with pytest.raises(DatasetInvalidError, match=complaint):
        make_split(dataset, "given")
