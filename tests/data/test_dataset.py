from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.data.dataset import Dataset, LabelledClip, check_labels, load_dataset
from videoclf.errors import DatasetInvalidError, UsageInvalidError


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def listed(folder: Path, text: str | bytes) -> Path:
    path = folder / "clips.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_folders_subfolders_are_the_classes(tmp_path: Path) -> None:
    dataset = load_dataset(touched(tmp_path, "Walk/v_Walk_g02_c01.avi", "Run/v_Run_g01_c01.mp4"))
    assert dataset.clips == (
        LabelledClip(tmp_path / "Run/v_Run_g01_c01.mp4", "Run", "g01"),
        LabelledClip(tmp_path / "Walk/v_Walk_g02_c01.avi", "Walk", "g02"),
    )


def test_labels_and_groups_are_sorted_and_listed_once(tmp_path: Path) -> None:
    dataset = load_dataset(touched(tmp_path, "B/v_g02_1.avi", "A/v_g10_1.avi", "A/v_g02_1.avi", "A/none.avi"))
    assert (dataset.labels, dataset.groups) == (("A", "B"), ("g02", "g10"))


def test_videos_in_a_classs_subfolders_belong_to_the_class(tmp_path: Path) -> None:
    assert load_dataset(touched(tmp_path, "Walk/day1/morning/a.mkv")).clips[0].label == "Walk"


def test_a_suffix_in_capitals_is_a_videos(tmp_path: Path) -> None:
    assert len(load_dataset(touched(tmp_path, "Walk/A.AVI")).clips) == 1


@pytest.mark.parametrize("name", [".cache/a.avi", "Walk/.a.avi", "Walk/notes.txt", "loose.avi"])
def test_hidden_loose_and_other_files_are_left_out(tmp_path: Path, name: str) -> None:
    dataset = load_dataset(touched(tmp_path, "Walk/b.avi", name))
    assert [clip.path.name for clip in dataset.clips] == ["b.avi"]


def test_a_folder_with_loose_videos_only_says_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetInvalidError, match=r"contains no CLASS/clip\.avi .*its 2 videos are not in class folders"
    ):
        load_dataset(touched(tmp_path, "a.avi", "b.mp4"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match=r"contains no CLASS/clip\.avi \(or other video\); see docs"):
        load_dataset(tmp_path)


def test_a_path_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match=r"nowhere: no such folder or list of path,label"):
        load_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("pattern", "group"),
    [(r"person(\d+)", "07"), (r"person\d+", "person07"), (r"_(\w+)_", "g01")],
)
def test_a_pattern_names_groups_by_its_first_group_or_the_whole_match(
    tmp_path: Path, pattern: str, group: str | None
) -> None:
    folder = touched(tmp_path, "Walk/v_g01_person07.avi")
    assert load_dataset(folder, group_regex=pattern).clips[0].group == group


def test_a_pattern_that_no_file_name_has_looks_at_the_paths_below_the_folder(tmp_path: Path) -> None:
    folder = touched(tmp_path / "person9", "Walk/person1/a.avi", "Run/person2/a.avi", "Run/b.avi")
    assert load_dataset(folder, group_regex=r"person\d").groups == ("person1", "person2")


def test_a_pattern_that_some_file_names_have_looks_at_file_names_only(tmp_path: Path) -> None:
    folder = touched(tmp_path, "person1/person2_a.avi", "person1/b.avi")
    assert [clip.group for clip in load_dataset(folder, group_regex=r"person\d").clips] == [None, "person2"]


def test_a_pattern_looks_at_the_paths_that_a_list_has(tmp_path: Path) -> None:
    path = listed(tmp_path, "path,label\nanna/1.avi,Walk\nbert/1.avi,Run\n")
    assert load_dataset(path, group_regex="^([a-z]+)/").groups == ("anna", "bert")


@pytest.mark.parametrize("pattern", [r"camera\d", r"(camera\d)|person"])
def test_a_pattern_that_is_nowhere_is_refused_with_three_names_it_was_tried_on(tmp_path: Path, pattern: str) -> None:
    folder = touched(tmp_path, *(f"Walk/v_g0{i}_person07.avi" for i in range(4)))
    with pytest.raises(UsageInvalidError) as caught:
        load_dataset(folder, group_regex=pattern)
    assert f"group_regex={pattern!r}: matches no file name and no path of {folder}, such as " in str(caught.value)
    assert "Walk/v_g00_person07.avi, Walk/v_g01_person07.avi, Walk/v_g02_person07.avi; " in str(caught.value)


def test_a_pattern_beside_a_list_of_groups_is_said_to_be_unused(tmp_path: Path) -> None:
    path = listed(tmp_path, "path,label,group\na.avi,Walk,anna\nb.avi,Run,bert\n")
    (warning,) = load_dataset(path, group_regex="x").warnings
    assert warning.startswith("group_regex='x': not used, because ")


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train", "val", "test"), ("train", "validation", "test")),
        (("Training", "valid", "TESTING"), ("train", "validation", "test")),
        (("train", "validation"), ("train", "validation")),
        (("train", "test"), ("train", "test")),
        (("train",), ("train",)),
    ],
)
def test_folders_named_as_parts_are_the_parts_and_the_classes_lie_in_them(
    tmp_path: Path, names: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    folder = touched(tmp_path, *(f"{name}/{label}/{name}.avi" for name in names for label in ("Walk", "Run")))
    dataset = load_dataset(folder)
    assert dataset.labels == ("Run", "Walk")
    found = {(clip.path.parts[-3], clip.part) for clip in dataset.clips}
    assert found == set(zip(names, parts, strict=True))


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    dataset = load_dataset(touched(tmp_path, "test/a/1.avi", "work/1.avi"))
    assert (dataset.labels, dataset.has_parts) == (("test", "work"), False)


def test_a_class_may_be_called_train_beside_others(tmp_path: Path) -> None:
    assert load_dataset(touched(tmp_path, "train/day1/1.avi", "boat/day2/1.avi")).labels == ("boat", "train")


def test_a_part_beside_a_folder_that_looks_like_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetInvalidError,
        match="train and dev contain folders with the same names, such as Walk: they look like parts",
    ):
        load_dataset(touched(tmp_path, "train/Walk/a.avi", "dev/Walk/b.avi"))


def test_parts_one_folder_deeper_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match="its parts, such as test, are in .*/data; name that folder"):
        load_dataset(touched(tmp_path, "data/train/Walk/a.avi", "data/test/Walk/b.avi"))


@pytest.mark.parametrize(
    ("pattern", "warning"),
    [
        ("_(g)", "group_regex='_(g)': finds only one group, 'g', in 4 of 4 clips"),
        ("^(.*)$", "group_regex='^(.*)$': every clip has its own group, such as 'v_g01_1.avi': splits are then random"),
        ("(g0.)_1", "group_regex='(g0.)_1': finds a group in only 3 of 4 clips"),
    ],
)
def test_a_pattern_that_makes_no_groups_is_told(tmp_path: Path, pattern: str, warning: str) -> None:
    folder = touched(tmp_path, "A/v_g01_1.avi", "A/v_g01_1b.avi", "B/v_g02_1.avi", "B/v_g03_2.avi")
    assert load_dataset(folder, group_regex=pattern).warnings[0].startswith(warning)
    assert load_dataset(folder, group_regex="_(g0.)_").warnings == ()


def test_parts_without_class_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetInvalidError, match=r"contains test, train, but no class folders in them; .*test/CLASS/clip\.avi"
    ):
        load_dataset(touched(tmp_path, "train/a.avi", "test/b.avi"))


def test_parts_beside_another_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match="the parts of a split, beside extra; move extra away"):
        load_dataset(touched(tmp_path, "train/Walk/a.avi", "test/Walk/b.avi", "extra/c.avi"))


@pytest.mark.parametrize("name", ["loose.avi", "train/loose.avi"])
def test_videos_outside_class_folders_are_said_to_be_left_out(tmp_path: Path, name: str) -> None:
    dataset = load_dataset(touched(tmp_path, "train/Walk/a.avi", "test/Walk/b.avi", name))
    assert dataset.warnings == (f"1 videos are not in a class folder and are left out, the first is {tmp_path / name}",)
    assert len(dataset.clips) == 2


@pytest.mark.parametrize("pattern", ["(", "[a-", "*", "(?P<x"])
def test_a_pattern_that_is_no_regular_expression_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UsageInvalidError, match=r"group_regex=.*: is not a regular expression"):
        load_dataset(touched(tmp_path, "Walk/a.avi"), group_regex=pattern)


def test_a_lists_paths_are_relative_to_the_list_and_need_not_exist(tmp_path: Path) -> None:
    dataset = load_dataset(listed(tmp_path, "path,label\nday1/a.avi,Walk\n/far/b.avi,Run\n"))
    assert [clip.path for clip in dataset.clips] == [tmp_path / "day1/a.avi", Path("/far/b.avi")]


def test_a_list_says_the_group_in_a_third_column_and_else_the_name_does(tmp_path: Path) -> None:
    text = "path,label,group\nv_g01_a.avi,Walk,anna\nv_g02_a.avi,Walk,\nv_g03_a.avi,Walk,\nplain.avi,Walk,\n"
    assert [clip.group for clip in load_dataset(listed(tmp_path, text)).clips] == ["anna", "g02", "g03", None]


def test_a_byte_order_mark_is_no_part_of_the_first_path(tmp_path: Path) -> None:
    assert load_dataset(listed(tmp_path, "\ufeffpath,label\na.avi,Walk\n")).clips[0].path == tmp_path / "a.avi"


def test_a_quoted_path_may_hold_a_comma(tmp_path: Path) -> None:
    assert (
        load_dataset(listed(tmp_path, 'path,label\n"take 2, cut.avi",Walk\n')).clips[0].path
        == tmp_path / "take 2, cut.avi"
    )


def test_a_repr_counts_and_does_not_list() -> None:
    dataset = Dataset("UCF-101", tuple(LabelledClip(Path(f"{i}.avi"), "Walk", f"g{i}") for i in range(1000)))
    assert repr(dataset) == "Dataset(UCF-101: 1000 clips, 1 classes, 1000 groups)"


def test_known_classes_pass_whatever_their_order() -> None:
    check_labels([LabelledClip(Path("a.avi"), label, None) for label in ("b", "a")], ("a", "b", "c"), model="m")


def test_a_class_unknown_to_the_model_is_named_with_the_known_ones() -> None:
    clips = [LabelledClip(Path("x/a.avi"), "Walk", None), LabelledClip(Path("x/b.avi"), "Swim", None)]
    with pytest.raises(
        DatasetInvalidError, match=r"^x/b\.avi: its class 'Swim' is unknown to m, which knows Walk, Run; "
    ):
        check_labels(clips, ("Walk", "Run"), model="m")


def test_of_many_known_classes_twenty_are_named() -> None:
    known = tuple(f"class{i}" for i in range(100))
    with pytest.raises(DatasetInvalidError, match=r"class19, \.\.\.; rename"):
        check_labels([LabelledClip(Path("a.avi"), "Swim", None)], known, model="m")


def test_a_path_listed_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match=r"line 4: .*a\.avi is listed twice"):
        load_dataset(listed(tmp_path, "path,label,group\na.avi,x,g1\nb.avi,y,g2\na.avi,x,g2\n"))
