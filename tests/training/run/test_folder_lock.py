"""One training at a time in a folder, however the one before has ended."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import videoclf
from videoclf.cross_validation.crossval import crossval
from videoclf.errors import DatasetInvalidError, RunFolderUnusableError
from videoclf.progress import SilentProgress
from videoclf.training.run.folder import RunFolder
from videoclf.training.run.folder_lock import LOCK_NAME, alone_in, alone_in_out

HOLD = """
import sys, time
from pathlib import Path
from videoclf.training.run.folder_lock import alone_in
with alone_in(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_one_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with alone_in(tmp_path, print), pytest.raises(RunFolderUnusableError) as caught, alone_in(tmp_path, print):
        pass
    assert str(caught.value) == (
        f"{tmp_path}: another training is already working here (process {os.getpid()}); wait until it ends, or choose "
        "another out"
    )


def test_a_process_of_another_machine_is_named_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with alone_in(tmp_path, print):
        monkeypatch.setattr(platform, "node", lambda: "another")
        with (
            pytest.raises(RunFolderUnusableError, match=rf"\(process {os.getpid()} on .+\)"),
            alone_in(tmp_path, print),
        ):
            pass


@pytest.mark.parametrize("command", ["train", "train overwrite=True", "train resume=True", "crossval"])
def test_no_second_command_touches_a_folder_that_is_held(tmp_path: Path, command: str) -> None:
    (tmp_path / "recipe.toml").write_text("of the first")
    begin: dict[str, Callable[[], object]] = {
        "train": lambda: videoclf.train("gone", out=tmp_path),
        "train overwrite=True": lambda: videoclf.train("gone", out=tmp_path, overwrite=True),
        "train resume=True": lambda: videoclf.train("gone", out=tmp_path, resume=True),
        "crossval": lambda: crossval("gone", out=tmp_path),
    }
    with (
        alone_in(tmp_path, print),
        pytest.raises(RunFolderUnusableError, match="another training is already working here"),
    ):
        begin[command]()
    assert (tmp_path / "recipe.toml").read_text() == "of the first"


def test_killed_it_leaves_the_folder_free(tmp_path: Path) -> None:
    process = hold(tmp_path)
    with pytest.raises(RunFolderUnusableError, match=rf"\(process {process.pid}\)"), alone_in(tmp_path, print):
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / LOCK_NAME).exists()
    assert not RunFolder(tmp_path).has_begun
    with alone_in(tmp_path, print):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_came_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError):
        videoclf.train(tmp_path / "gone", out=tmp_path / "runs" / "first")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_its_holder_has_just_removed_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    num_locked = []

    def lock_late(descriptor: int, how: int) -> None:
        num_locked.append(1)
        if len(num_locked) == 1:
            (tmp_path / LOCK_NAME).unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with alone_in(tmp_path, print), pytest.raises(RunFolderUnusableError), alone_in(tmp_path, print):
        pass
    assert len(num_locked) == 3


def test_where_there_are_no_locks_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    notes: list[str] = []
    with alone_in(tmp_path, notes.append):
        pass
    assert notes == [
        f"{tmp_path}: its file system does not support locks (No locks available); do not start a second training here"
    ]


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()
    with (
        pytest.raises(RunFolderUnusableError, match=r"\.lock: cannot be written \(Is a directory\)"),
        alone_in(tmp_path, print),
    ):
        pass


def test_of_several_processes_the_first_holds_it_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @alone_in_out
    def work(*, out: Path, progress: SilentProgress) -> bool:
        return (out / LOCK_NAME).exists()

    assert work(out=tmp_path, progress=SilentProgress())
    with alone_in(tmp_path, print):  # as the first does
        for name, value in (("TORCHELASTIC_RUN_ID", "run"), ("LOCAL_WORLD_SIZE", "2"), ("RANK", "1")):
            monkeypatch.setenv(name, value)
        assert work(out=tmp_path, progress=SilentProgress())
