"""What can be said of a folder before anything is written there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from videoclf.atomic import refuse_unwritable
from videoclf.errors import RunFolderUnusable


def test_a_folder_that_can_be_made_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_unwritable(tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    refuse_unwritable(Path("runs/first"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderUnusable, match=r"cannot be written \(.*file is a file\); choose another folder"):
        refuse_unwritable(tmp_path / name)


def test_a_folder_that_is_read_only_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "runs" / "first"
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)  # root may write anywhere else
    with pytest.raises(RunFolderUnusable) as caught:
        refuse_unwritable(out)
    assert str(caught.value) == (
        f"{out}: cannot be written ({tmp_path} is read-only for you); choose another folder, or change its permissions"
    )
