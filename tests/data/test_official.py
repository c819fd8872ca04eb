from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path

import pytest

from videoclf.data.dataset import LabelledClip, load_dataset
from videoclf.data.manifest import load_manifest
from videoclf.data.official import read_official_split
from videoclf.data.splits import make_split
from videoclf.errors import DatasetInvalidError, UsageInvalidError

UCF101_SIZES = [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)]


def lists(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


def groups_of(clips: tuple[LabelledClip, ...]) -> set[str | None]:
    return {clip.group for clip in clips}


@pytest.mark.parametrize(("number", "num_train", "num_test"), UCF101_SIZES)
def test_ucf101s_splits_have_their_published_sizes(
    shared_data: Path, number: int, num_train: int, num_test: int
) -> None:
    split = read_official_split(shared_data / "splits/ucf101", number)
    assert (len(split.train), len(split.test)) == (num_train, num_test)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_ucf101s_lists_name_101_classes_and_part_no_group(shared_data: Path, number: int) -> None:
    split = read_official_split(shared_data / "splits/ucf101", number)
    sides = [{(label, re.findall(r"_g\d\d_", name)[0]) for label, name in part} for part in (split.train, split.test)]
    assert len({label for label, _ in sides[0]}) == 101
    assert not sides[0] & sides[1]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_hmdb51s_splits_have_70_and_30_clips_of_each_of_51_classes(shared_data: Path, number: int) -> None:
    split = read_official_split(shared_data / "splits/hmdb51", number)
    assert (len(split.train), len(split.test)) == (3570, 1530)
    assert len(Counter(label for label, _ in split.train)) == 51
    assert set(Counter(label for label, _ in split.train).values()) == {70}
    assert set(Counter(label for label, _ in split.test).values()) == {30}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_clip_of_hmdb51_is_on_two_sides(shared_data: Path, number: int) -> None:
    split = read_official_split(shared_data / "splits/hmdb51", number)
    assert len({*split.train, *split.test}) == len(split.train) + len(split.test)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_ucf101_clips_are_named_by_class_and_stem_whatever_the_line_ends(tmp_path: Path, end: str, mark: str) -> None:
    train = f"{mark}Walk/v_Walk_g08_c01.avi 1{end}Run/v_Run_g08_c01.avi 2{end}{end}"
    folder = lists(tmp_path, trainlist01=train, testlist01=f"{mark}Walk/v_Walk_g01_c01.avi{end}")
    split = read_official_split(folder, 1)
    assert split.train == (("Walk", "v_Walk_g08_c01"), ("Run", "v_Run_g08_c01"))
    assert split.test == (("Walk", "v_Walk_g01_c01"),)


@pytest.mark.parametrize("end", ["\n", "\r\n", " \n", " \r\n"])
def test_hmdb51s_numbers_say_train_test_or_neither(tmp_path: Path, end: str) -> None:
    text = f"a 1.avi 1{end}b.avi 2{end}c.avi 0{end}"
    split = read_official_split(lists(tmp_path, shake_hands_test_split2=text, sit_test_split2=f"d.avi 2{end}"), 2)
    assert split.train == (("shake_hands", "a 1"),)
    assert split.test == (("shake_hands", "b"), ("sit", "d"))
    assert split.unused == (("shake_hands", "c"),)


def test_each_number_has_its_own_lists(tmp_path: Path) -> None:
    folder = lists(tmp_path, sit_test_split1="a.avi 1", sit_test_split3="b.avi 1")
    assert [read_official_split(folder, number).train for number in (1, 3)] == [(("sit", "a"),), (("sit", "b"),)]


@pytest.mark.parametrize("place", ["UCF-101", "UCF-101/ucfTrainTestlist", "ucfTrainTestlist", "splits", "."])
def test_lists_are_found_in_and_beside_the_clips(tmp_path: Path, place: str) -> None:
    (tmp_path / "UCF-101").mkdir()
    lists(tmp_path / place, trainlist01="Walk/a.avi 1", testlist01="Walk/b.avi")
    assert read_official_split(tmp_path / "UCF-101", 1).train == (("Walk", "a"),)


def test_lists_of_a_given_folder_go_before_those_beside_the_clips(tmp_path: Path) -> None:
    lists(tmp_path, trainlist01="Walk/near.avi 1", testlist01="Walk/b.avi")
    given = lists(tmp_path / "given", trainlist01="Walk/given.avi 1", testlist01="Walk/b.avi")
    split = read_official_split(tmp_path, 1, given)
    assert (split.source, split.train) == (given, (("Walk", "given"),))


def test_missing_lists_are_asked_for(tmp_path: Path) -> None:
    expected = (
        r"split='official:2': no trainlist02\.txt \(UCF101\) nor \*_test_split2\.txt \(HMDB51\) in .* or beside it; "
        "give their folder with split_files; `videoclf datasets` says where to get them"
    )
    with pytest.raises(DatasetInvalidError, match=expected):
        read_official_split(lists(tmp_path, trainlist01="Walk/a.avi 1", testlist01="Walk/b.avi"), 2)


def test_a_given_folder_without_lists_is_not_replaced_by_another(tmp_path: Path) -> None:
    lists(tmp_path, trainlist01="Walk/a.avi 1", testlist01="Walk/b.avi")
    with pytest.raises(DatasetInvalidError, match=r"no trainlist01\.txt .* in .*/nowhere; give"):
        read_official_split(tmp_path, 1, tmp_path / "nowhere")


@pytest.mark.parametrize("number", [0, 4, -1])
def test_there_is_no_other_split_than_three(tmp_path: Path, number: int) -> None:
    with pytest.raises(UsageInvalidError, match=rf"split='official:{number}': the official splits are 1, 2 and 3"):
        read_official_split(tmp_path, number)


def test_a_training_list_without_its_test_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match=r"testlist01\.txt: cannot be read as a split list"):
        read_official_split(lists(tmp_path, trainlist01="Walk/a.avi 1"), 1)


def test_a_ucf101_line_without_a_class_is_named_by_its_number(tmp_path: Path) -> None:
    folder = lists(tmp_path, trainlist01="Walk/a.avi 1\r\n\r\nb.avi 1\r\n", testlist01="Walk/c.avi")
    with pytest.raises(
        DatasetInvalidError, match=r"trainlist01\.txt, line 3: expected Class/clip\.avi, got 'b\.avi 1'"
    ):
        read_official_split(folder, 1)


@pytest.mark.parametrize("line", ["b.avi", "b.avi 3", "1", "b.avi1", "b.avi 1 1x"])
def test_an_hmdb51_line_of_another_form_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    folder = lists(tmp_path, sit_test_split1=f"a.avi 1\n{line}\n")
    with pytest.raises(DatasetInvalidError, match=r"sit_test_split1\.txt, line 2: expected clip\.avi 0, 1 or 2, got"):
        read_official_split(folder, 1)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trainlist01.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetInvalidError, match=r"trainlist01\.txt: cannot be read as a split list"):
        read_official_split(tmp_path, 1)


@pytest.fixture
def official_folder(tmp_path: Path) -> Path:
    """Two classes of four groups of two clips; the lists train on the first three groups and test on the last."""
    train, test = "", ""
    for label, group, clip in product(("class0", "class1"), range(4), (1, 2)):
        name = f"{label}/v_{label}_g{group:02}_c{clip:02}"
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / f"{name}.mp4").touch()
        train += f"{name}.avi 1\r\n" if group < 3 else ""
        test += f"{name}.avi\r\n" if group == 3 else ""
    return lists(tmp_path, trainlist01=train, testlist01=test)


def test_official_lists_say_what_is_tested_whatever_the_container(official_folder: Path) -> None:
    split = make_split(load_dataset(official_folder), "official:1")
    assert (groups_of(split.test), len(split.test), split.warnings) == ({"g03"}, 4, ())


def test_with_official_lists_validation_is_cut_from_their_training_groups(official_folder: Path) -> None:
    split = make_split(load_dataset(official_folder), "official:1")
    assert split.validation
    assert not groups_of(split.validation) & (groups_of(split.train) | groups_of(split.test))


def test_official_lists_are_found_beside_a_list_of_clips(official_folder: Path) -> None:
    paths = sorted(official_folder.glob("*/*.mp4"))
    clips = "".join(f"{path},{path.parent.name}\n" for path in paths)
    (official_folder / "clips.csv").write_text(clips)
    assert groups_of(make_split(load_dataset(official_folder / "clips.csv"), "official:1").test) == {"g03"}


def test_clips_of_the_official_lists_that_are_not_there_are_counted_and_named(official_folder: Path) -> None:
    for path in official_folder.glob("class1/*_g01_*"):
        path.unlink()
    warning = make_split(load_dataset(official_folder), "official:1").warnings[0]
    assert warning == ("2 clips of the official lists are missing: class1/v_class1_g01_c01, class1/v_class1_g01_c02")


def test_of_many_clips_that_are_not_there_three_are_named(official_folder: Path) -> None:
    for path in official_folder.glob("class0/*_g0[023]_*"):
        path.unlink()
    warning = make_split(load_dataset(official_folder), "official:1").warnings[0]
    assert warning.startswith("6 clips of the official lists are missing: class0/v_class0_g00_c01, ")
    assert warning.endswith(", class0/v_class0_g02_c01 and 3 more")


def test_clips_that_the_official_lists_do_not_name_are_counted_and_left_out(official_folder: Path) -> None:
    before = make_split(load_dataset(official_folder), "official:1")
    for name in ("v_class0_g00_c03", "v_class0_g09_c01"):
        (official_folder / f"class0/{name}.avi").touch()
    split = make_split(load_dataset(official_folder), "official:1")
    first = official_folder / "class0/v_class0_g00_c03.avi"
    assert split.warnings == (f"2 clips are in neither list and are left out, the first is {first}",)
    assert (split.train, split.validation, split.test) == (before.train, before.validation, before.test)


@pytest.fixture
def hmdb51_folder(tmp_path: Path) -> Path:
    """HMDB51's classes, of four titles each: two to train on, one to test on, one that the lists do not use."""
    for label in load_manifest("hmdb51").classes:
        uses = {f"Film_{title}_{label}_u_cm_np1_fr_med_0.avi": use for title, use in zip("abcd", "1120", strict=True)}
        (tmp_path / label).mkdir()
        for name in uses:
            (tmp_path / label / name).touch()
        lists(tmp_path, **{f"{label}_test_split1": "".join(f"{name} {use} \n" for name, use in uses.items())})
    return tmp_path


def test_clips_that_hmdb51_lists_for_no_part_are_not_strangers(hmdb51_folder: Path) -> None:
    (hmdb51_folder / "wave/Film_e_wave_u_cm_np1_fr_med_0.avi").touch()
    dataset = load_dataset(hmdb51_folder, group_regex=load_manifest("hmdb51").group_regex)
    warning = make_split(dataset, "official:1").warnings[0]
    assert warning.startswith("1 clips are in neither list and are left out, the first is ")
    assert warning.endswith("wave/Film_e_wave_u_cm_np1_fr_med_0.avi")


def test_hmdb51s_names_carry_groups_once_its_pattern_is_given(hmdb51_folder: Path) -> None:
    warning = make_split(load_dataset(hmdb51_folder), "official:1").warnings[0]
    pattern = load_manifest("hmdb51").group_regex
    assert warning.endswith(f"; for names like HMDB51's use group_regex={pattern!r}")
    grouped = make_split(load_dataset(hmdb51_folder, group_regex=pattern), "official:1")
    assert not any("group_regex" in warning for warning in grouped.warnings)


def test_official_lists_of_other_clips_are_refused(official_folder: Path) -> None:
    (official_folder / "testlist01.txt").write_text("class0/v_other_g03_c01.avi\n")
    with pytest.raises(DatasetInvalidError, match=r"contains no clip of the official lists in"):
        make_split(load_dataset(official_folder), "official:1")


def test_official_lists_that_name_a_clip_on_both_sides_are_refused(official_folder: Path) -> None:
    with (official_folder / "testlist01.txt").open("a") as file:
        file.write("class0/v_class0_g00_c01.avi\n")
    with pytest.raises(DatasetInvalidError, match="class0/v_class0_g00_c01 for training and for test"):
        make_split(load_dataset(official_folder), "official:1")


def test_a_clip_listed_twice_trains_once(official_folder: Path) -> None:
    before = make_split(load_dataset(official_folder), "official:1")
    text = (official_folder / "trainlist01.txt").read_text()
    (official_folder / "trainlist01.txt").write_text(text + text)
    assert make_split(load_dataset(official_folder), "official:1").train == before.train
