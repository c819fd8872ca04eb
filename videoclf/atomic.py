"""Writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from videoclf.errors import RunFolderUnusable


def write_atomically(path: Path, content: bytes) -> None:
    """Put content at a path so that a reader, a crash or a full disk never leaves half of it there.

    Raises:
        RunFolderUnusable: the disk is full, or the folder cannot be written.
    """
    try:
        _replace(path, path.with_name(f".{path.name}.part"), content, is_synced=True)
    except OSError as error:
        raise RunFolderUnusable(
            f"{path}: cannot be written ({error.strerror}); check the folder, its permissions and its free space"
        ) from error


def write_shared(path: Path, content: bytes) -> None:
    """As `write_atomically`, where other processes may write the same path at the same time: the last one wins.

    Does not wait for the disk (7 ms a file on the machine this was written on): after a power cut the file may be
    there and hold nothing, so its reader must be able to tell.

    Raises:
        OSError: what the system says; the caller knows what to try.
    """
    _replace(path, path.with_name(f".{path.name}.{secrets.token_hex(4)}.part"), content, is_synced=False)


def _replace(path: Path, draft: Path, content: bytes, *, is_synced: bool) -> None:
    try:
        with draft.open("wb") as file:
            file.write(content)
            if is_synced:
                file.flush()
                os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def prepare_folder(folder: Path) -> Path:
    """Make a folder for results, if it is not there.

    Raises:
        RunFolderUnusable: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderUnusable(f"{folder}: cannot be made ({error.strerror}); choose another folder") from error
    return folder


def refuse_unwritable(folder: Path) -> None:
    """Ask, before there is anything to lose, whether a folder for results can be made or written; nothing is made.

    Raises:
        RunFolderUnusable: it, or the folder it is to be made in, is a file, or cannot be written.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise RunFolderUnusable(f"{folder}: cannot be written ({nearest} is a file); choose another folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunFolderUnusable(
            f"{folder}: cannot be written ({nearest} is read-only for you); choose another folder, or change its "
            "permissions"
        )


def remove_file(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        RunFolderUnusable: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderUnusable(f"{path}: cannot be removed ({error.strerror}); check its permissions") from error
