from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.data.clip_list import ClipRow, read_clip_list
from videoclf.errors import DatasetInvalidError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.avi").touch()
    return tmp_path


def listed(folder: Path, text: str | bytes) -> Path:
    path = folder / "clips.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def rows_of(folder: Path, text: str) -> tuple[ClipRow, ...]:
    return read_clip_list(listed(folder, text)).rows


@pytest.mark.parametrize(
    "header",
    ["path,label", "Path,Label", "filename,class", "video_path,label", "File Name , CLASS-NAME", "\ufeffpath,label",
     "path, label\r"],
)  # fmt: skip
def test_the_first_line_may_name_the_columns_as_people_do(folder: Path, header: str) -> None:
    assert rows_of(folder, f"{header}\nb.avi,Walk\n") == (ClipRow("b.avi", "Walk", None, None, 2),)


def test_named_columns_may_stand_in_any_order(folder: Path) -> None:
    text = "Subset,group,LABEL,id,video\nval,anna,Walk,7,b.avi\n,,Run,8,c.avi\n"
    assert rows_of(folder, text) == (
        ClipRow("b.avi", "Walk", "anna", "validation", 2),
        ClipRow("c.avi", "Run", None, None, 3),
    )


def test_columns_that_mean_nothing_are_told(folder: Path) -> None:
    assert read_clip_list(listed(folder, "id,path,fps,label\n1,b.avi,25,Walk\n")).unused_columns == ("id", "fps")


def test_without_names_the_order_says_what_is_what(folder: Path) -> None:
    assert rows_of(folder, "a.avi,Walk,anna\nb.avi,Run\n") == (
        ClipRow("a.avi", "Walk", "anna", None, 1),
        ClipRow("b.avi", "Run", None, None, 2),
    )


@pytest.mark.parametrize("first", ["name,kind", "gone.avi,Walk", "Walk,a.avi", f"{'x' * 5000},Walk"])
def test_a_first_line_that_is_neither_names_nor_a_file_is_refused(folder: Path, first: str) -> None:
    with pytest.raises(DatasetInvalidError) as caught:
        read_clip_list(listed(folder, f"{first}\na.avi,Walk\n"))
    message = str(caught.value)
    assert f"clips.csv, line 1: {first[:150]}"[:40] in message.replace("'", "")
    assert "has no known column names" in message
    assert "path: path, file, filename, filepath, video" in message
    assert "label: label, class, classname" in message


@pytest.mark.parametrize(
    ("header", "complaint"),
    [("path,label,class", "columns label and class both mean label"), ("path,file,label", "both mean path")],
)
def test_two_columns_that_say_the_same_are_refused(folder: Path, header: str, complaint: str) -> None:
    with pytest.raises(DatasetInvalidError, match=f"line 1: .*{complaint}; remove one"):
        read_clip_list(listed(folder, f"{header}\na.avi,Walk,Walk\n"))


def test_a_third_column_of_parts_is_not_taken_for_groups(folder: Path) -> None:
    with pytest.raises(
        DatasetInvalidError, match="third column contains test, train; name the columns .*path,label,split"
    ):
        read_clip_list(listed(folder, "a.avi,Walk,train\nb.avi,Walk,Test\n"))


@pytest.mark.parametrize("text", ["a.avi,Walk,train\nb.avi,Walk,dev\n", "a.avi,Walk,holdout\nb.avi,Walk,VAL\n"])
def test_nor_is_one_that_holds_parts_beside_other_words(folder: Path, text: str) -> None:
    with pytest.raises(DatasetInvalidError, match="third column contains (train|val); name the columns"):
        read_clip_list(listed(folder, text))


@pytest.mark.parametrize(
    ("first", "complaint"),
    [
        ("path,target", "no column for the label; name it label, or class"),
        ("clip_id,Label", "for the path; name it"),
    ],
)
def test_a_header_that_lacks_a_column_says_which(folder: Path, first: str, complaint: str) -> None:
    with pytest.raises(DatasetInvalidError, match=complaint):
        read_clip_list(listed(folder, f"{first}\na.avi,Walk\n"))


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_other_separators_are_named(folder: Path, separator: str) -> None:
    with pytest.raises(DatasetInvalidError, match="columns are separated by .*; separate them by commas: path,label"):
        read_clip_list(listed(folder, f"path{separator}label\na.avi{separator}Walk\n"))


def test_a_folder_is_no_clip_of_the_first_line(folder: Path) -> None:
    (folder / "bend").mkdir()
    with pytest.raises(DatasetInvalidError, match="'bend' is not a file in the folder of the list"):
        read_clip_list(listed(folder, "bend,bend/a.avi\n"))


def test_a_quote_that_is_never_closed_is_refused(folder: Path) -> None:
    with pytest.raises(DatasetInvalidError, match="cannot be read as a list .*; save it as a CSV file in UTF-8"):
        read_clip_list(listed(folder, 'a.avi,"bend\nb.avi,jump\n'))


def test_columns_without_a_name_are_not_told(folder: Path) -> None:
    assert read_clip_list(listed(folder, ",path,label,\n0,a.avi,Walk,\n")).unused_columns == ()


def test_an_unknown_part_is_refused_with_its_line(folder: Path) -> None:
    with pytest.raises(DatasetInvalidError, match="line 3: split 'holdout' is unknown; write train, val or test"):
        read_clip_list(listed(folder, "path,label,split\na.avi,Walk,train\nb.avi,Walk,holdout\n"))


@pytest.mark.parametrize("line", ["b.avi", "b.avi,Walk,g01,more", "b.avi,", ",Walk", "b.avi Walk", "b.avi\tWalk"])
@pytest.mark.parametrize("header", ["path,label\n", "\n"])
def test_a_line_with_other_columns_is_named_by_its_number(folder: Path, header: str, line: str) -> None:
    path = listed(folder, f"{header}a.avi,Walk\n\n{line}\n")
    with pytest.raises(DatasetInvalidError, match=r"clips\.csv, line 4: expected path,label.*, got '"):
        read_clip_list(path)


@pytest.mark.parametrize("text", ["", "\n\n", "path,label\n", "\ufeff"])
def test_an_empty_list_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(
        DatasetInvalidError, match=r"clips\.csv: the list is empty; write a line path,label for each clip"
    ):
        read_clip_list(listed(folder, text))


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0", b"a.avi," + b"x" * 200_000])
def test_a_file_that_is_no_list_is_refused(folder: Path, content: bytes) -> None:
    with pytest.raises(DatasetInvalidError, match=r"clips\.csv: cannot be read as a list of path,label"):
        read_clip_list(listed(folder, content))


def test_lines_are_counted_as_an_editor_counts_them(folder: Path) -> None:
    with pytest.raises(DatasetInvalidError, match="line 4: expected path,label"):
        read_clip_list(listed(folder, 'path,label\n"a\nb.avi",x\nfoo\n'))


def test_windows_line_ends_blank_lines_and_spaces_are_no_part_of_a_label(folder: Path) -> None:
    assert [row.label for row in rows_of(folder, "a.avi , Walk \r\n\r\n , \r\nb.avi,Run\r\n")] == ["Walk", "Run"]
