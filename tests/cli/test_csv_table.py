from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.test_commands import VIDEOCLF, run
from tests.conftest import write_clip
from videoclf.cli.csv_table import CsvTable
from videoclf.errors import RunFolderUnusableError, UsageInvalidError

OLD = "source,label\n" + "old.avi,walk\n" * 29


def write_table(path: Path, *rows: Sequence[object], overwrite: bool = False) -> list[str]:
    """What was told."""
    notes: list[str] = []
    with CsvTable(path, ("source", "label"), overwrite=overwrite, notice=notes.append) as table:
        for row in rows:
            table.write(row)
    return notes


def test_a_table_is_never_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(OLD)
    with pytest.raises(RunFolderUnusableError) as caught:
        write_table(path, ("new.avi", "run"))
    assert str(caught.value) == f"{path}: already exists; choose another name, or add overwrite=True"
    assert path.read_text() == OLD


def test_it_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(OLD)
    code, _, err = run("predict", "gone.avi", "--model", "no model of that name", "--csv", path)
    assert (code, err) == (1, f"error: {path}: already exists; choose another name, or add --overwrite\n")


def test_asked_to_a_shorter_one_replaces_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(OLD)
    write_table(path, ("new.avi", "run"), overwrite=True)
    assert path.read_text().splitlines() == ["source,label", "new.avi,run"]


def test_even_then_the_old_one_stays_until_there_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(OLD)
    write_table(path, overwrite=True)
    code, _, _ = run("predict", "a.avi", "--model", "no model of that name", "--csv", path, "--overwrite")
    assert code == 1
    assert path.read_text() == OLD


def test_predict_replaces_a_table_where_asked_to(tmp_path: Path, tiny_model: Path) -> None:
    path, clip = tmp_path / "table.csv", write_clip(tmp_path / "a.avi", 5)
    path.write_text(OLD)
    code, _, err = run("predict", clip, "--model", tiny_model, "--csv", path, "--overwrite")
    assert (code, err) == (0, "")
    assert path.read_text().count("\n") == 2


def test_a_command_that_comes_to_nothing_makes_no_file(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_written_and_stays_as_private_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.touch(mode=0o600)
    write_table(path, ("a.avi", "walk"))
    assert path.read_text().count("\n") == 2
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("is_there", [True, False], ids=["to a file", "to nowhere yet"])
def test_a_link_is_followed(tmp_path: Path, is_there: bool) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    if is_there:
        target.touch()
    link.symlink_to(target)
    write_table(link, ("a.avi", "walk"))
    assert link.is_symlink()
    assert target.read_text().count("\n") == 2


def test_what_cannot_be_written_is_named_at_once(tmp_path: Path) -> None:
    for path, cause in (
        (tmp_path, "is a folder; name a file"),
        (tmp_path / "gone" / "table.csv", "gone: no such folder; create it"),
        (Path("/dev/null/table.csv"), "cannot be written (Not a directory)"),
    ):
        with pytest.raises(RunFolderUnusableError) as caught:
            write_table(path)
        assert cause in str(caught.value)


def test_a_video_is_not_overwritten_even_where_asked_to(tmp_path: Path) -> None:
    with pytest.raises(UsageInvalidError, match="is a video, which the table would overwrite"):
        write_table(write_clip(tmp_path / "a.avi", 2), overwrite=True)


def test_a_file_that_another_process_makes_meanwhile_is_spared(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with CsvTable(path, ("source", "label"), overwrite=False, notice=print) as table:
        path.write_text(OLD)
        with pytest.raises(RunFolderUnusableError, match="was created by another process"):
            table.write(("a.avi", "walk"))
    assert path.read_text() == OLD


def test_a_pipe_gets_its_rows(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_table(pipe, ("a.avi", "walk"))
    reader.join(10)
    assert read == ["source,label\na.avi,walk\n"]


def test_standard_output_gets_rows_between_its_lines_and_loses_none(tmp_path: Path, tiny_model: Path) -> None:
    """A file behind it, opened anew, would be emptied, and rows would be written over lines."""
    out = tmp_path / "out.txt"
    out.write_text("before\n")
    with out.open("a") as file:
        subprocess.run(
            [*VIDEOCLF, "predict", "gone.avi", "gone.avi", "--model", str(tiny_model), "--csv", "/dev/stdout"],
            stdout=file, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    lines = out.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[1].startswith("source,label,")
    assert [line.startswith("gone.avi,,") for line in lines[2:]] == [True, True]


def test_what_a_spreadsheet_would_evaluate_is_written_unchanged_and_reported_once(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    formula = '=HYPERLINK("http://elsewhere.example")'
    notes = write_table(path, ("a.avi", formula), ("b.avi", "@walk"), ("c.avi", -1.5))
    assert notes == [f"{path}: a spreadsheet would evaluate {formula!r} as a formula; import the columns as text"]
    assert '"=HYPERLINK(""http://elsewhere.example"")"' in path.read_text()
    assert write_table(tmp_path / "other.csv", ("c.avi", -1.5)) == []


def test_names_that_are_no_utf_8_are_written_in_escapes(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, ("\udcff.avi", "walk"))
    assert "\\udcff.avi,walk" in path.read_text()


def test_a_full_disk_is_one_line() -> None:
    with pytest.raises(RunFolderUnusableError, match=r"/dev/full: cannot be written \(No space left on device\)"):
        write_table(Path("/dev/full"), ("a.avi", "walk"))
