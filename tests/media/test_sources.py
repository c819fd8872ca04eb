"""What a user may name as a source."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from videoclf.media.sources import expand_sources, videos_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.AVI", "notes.txt", ".hidden.mp4", "sub/c.mkv", "odd[1].mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def expand(*sources: str, stdin: str = "") -> list[str]:
    return [path.name for path in expand_sources(sources, io.StringIO(stdin))]


def test_a_folder_means_its_videos_and_those_of_its_subfolders(folder: Path) -> None:
    assert [path.name for path in videos_below(folder)] == ["a.AVI", "b.mp4", "odd[1].mp4", "c.mkv"]


def test_sources_keep_their_order(folder: Path) -> None:
    assert expand(f"{folder}/b.mp4", f"{folder}/sub", f"{folder}/a.AVI") == ["b.mp4", "c.mkv", "a.AVI"]


def test_a_pattern_means_its_matches(folder: Path) -> None:
    assert expand(f"{folder}/*.mp4") == ["b.mp4", "odd[1].mp4"]
    assert expand(f"{folder}/**/*.mkv") == ["c.mkv"]


def test_a_name_that_exists_is_no_pattern(folder: Path) -> None:
    assert expand(f"{folder}/odd[1].mp4") == ["odd[1].mp4"]


def test_what_means_nothing_is_passed_on_to_be_refused_in_its_place(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert expand(f"{folder}/b.mp4", f"{folder}/empty", f"{folder}/*.xyz", "gone.mp4") == [
        "b.mp4", "empty", "*.xyz", "gone.mp4",
    ]  # fmt: skip


def test_a_dash_reads_a_list_whose_lines_may_be_anything_else_but_itself(folder: Path) -> None:
    assert expand("-", stdin=f"{folder}/b.mp4\r\n\n-\n{folder}/sub\n") == ["b.mp4", "c.mkv"]


def test_linked_folders_are_followed_once_and_hidden_ones_are_not_searched(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "x.mp4").touch()
    (folder / "other").symlink_to(folder / "sub")
    (folder / "sub" / "loop").symlink_to(folder)
    assert [path.name for path in videos_below(folder)].count("c.mkv") == 1
    assert "x.mp4" not in [path.name for path in videos_below(folder)]


def test_names_that_no_file_system_takes_are_passed_on() -> None:
    assert len(expand("x" * 5000, "")) == 2
