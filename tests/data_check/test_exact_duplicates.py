from __future__ import annotations

import os
from pathlib import Path

from videoclf.data_check.exact_duplicates import find_exact_duplicates


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_files_of_the_same_bytes_are_one_set(tmp_path: Path) -> None:
    a, b, c = (write(tmp_path / name, b"x" * 100_000) for name in "abc")
    assert find_exact_duplicates([a, b, c]) == [(a, b, c)]


def test_files_of_one_size_that_differ_late_are_none(tmp_path: Path) -> None:
    a = write(tmp_path / "a", b"x" * 100_000 + b"1")
    b = write(tmp_path / "b", b"x" * 100_000 + b"2")
    assert find_exact_duplicates([a, b]) == []


def test_links_to_one_file_count(tmp_path: Path) -> None:
    a = write(tmp_path / "a", b"x")
    (tmp_path / "b").symlink_to(a)
    assert find_exact_duplicates([a, tmp_path / "b"]) == [(a, tmp_path / "b")]


def test_what_cannot_be_read_and_what_is_empty_is_left_out(tmp_path: Path) -> None:
    empty = [write(tmp_path / name, b"") for name in "ab"]
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe2")
    others = [tmp_path / "gone", tmp_path, tmp_path / "pipe", tmp_path / "pipe2", Path("x" * 5000), Path("\0")]
    assert find_exact_duplicates([*empty, *others]) == []
