"""What can be said of a folder before anything is written there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from videoclf.errors import RunFolderUnusableError
from videoclf.files import refuse_to_replace, refuse_unwritable, write_atomically


def test_a_folder_that_can_be_made_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_unwritable(tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    refuse_unwritable(Path("runs/first"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunFolderUnusableError, match=r"cannot be written \(.*file is a file\); choose another folder"):
        refuse_unwritable(tmp_path / name)


def test_a_folder_that_is_read_only_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "runs" / "first"
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)  # root may write anywhere else
    with pytest.raises(RunFolderUnusableError) as caught:
        refuse_unwritable(out)
    assert str(caught.value) == (
        f"{out}: cannot be written ({tmp_path} is read-only for you); choose another folder, or change its permissions"
    )


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    refuse_to_replace(path, overwrite=False)
    path.touch()
    refuse_to_replace(path, Path(os.devnull), overwrite=False)
    path.write_text("mine")
    refuse_to_replace(path, overwrite=True)
    with pytest.raises(RunFolderUnusableError) as caught:
        refuse_to_replace(tmp_path / "new", path, overwrite=False)
    assert str(caught.value) == f"{path}: already exists; choose another name, or add overwrite=True"


def test_a_file_of_another_kind_is_not_replaced_even_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    with pytest.raises(
        RunFolderUnusableError, match="has other content than would be written now; choose another name"
    ):
        refuse_to_replace(path, overwrite=True, beginning=b"source,")
    path.write_bytes(b"source,label")
    refuse_to_replace(path, overwrite=True, beginning=b"source,")


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_is_no_file(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(RunFolderUnusableError, match="is a folder; name a file"):
        refuse_to_replace(tmp_path, overwrite=overwrite)


def test_a_device_is_written_to_and_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "null"
    device.symlink_to(os.devnull)  # through a link: a fault here must not cost this machine its own
    write_atomically(device, b"gone")
    assert device.is_symlink()
    assert device.is_char_device()


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "page.html").symlink_to(tmp_path / "disk" / "page.html")
    write_atomically(tmp_path / "page.html", b"page")
    assert (tmp_path / "disk" / "page.html").read_bytes() == b"page"
    assert (tmp_path / "page.html").is_symlink()
