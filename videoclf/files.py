"""Atomic writing of files, and checks of output folders before work begins."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from videoclf.errors import RunFolderUnusableError
from videoclf.option_names import option


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically: readers, a crash or a full disk never see or leave a part of it.

    Links are followed. What is not a regular file, such as ``/dev/null`` or a pipe, is written to instead of replaced.

    Raises:
        RunFolderUnusableError: the disk is full, or the folder cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        target = Path(os.path.realpath(path))
        _replace(target, target.with_name(f".{target.name}.part"), content, is_synced=True)
    except OSError as error:
        raise unwritable(path, error) from error


def write_shared(path: Path, content: bytes) -> None:
    """Like `write_atomically`, if other processes may write the same path at the same time: the last one wins.

    Does not wait for the disk (7 ms a file on the machine this was written on). After a power failure the file may
    exist and be empty, so its reader must be able to detect that.

    Raises:
        OSError: from the system; the caller handles it.
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
    """Create a folder for results, if it does not exist.

    Raises:
        RunFolderUnusableError: it cannot be created, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderUnusableError(
            f"cannot be created ({error.strerror})", source=folder, hint="choose another folder"
        ) from error
    return folder


def unwritable(path: Path, error: OSError) -> RunFolderUnusableError:
    """The error for a path that cannot be written."""
    return RunFolderUnusableError(
        f"cannot be written ({error.strerror})",
        source=path,
        hint="check the folder, its permissions and its free space",
    )


def refuse_to_replace(*paths: Path, overwrite: bool, beginning: bytes = b"") -> None:
    """Refuse to replace files with content, unless asked to. Empty files, such as mktemp creates, may be replaced.

    Args:
        paths: files to be written. Pipes and devices are never refused.
        overwrite: whether replacement was asked for.
        beginning: of files that may be replaced at all: a table may replace a table, but never a model.

    Raises:
        RunFolderUnusableError: one has content, or content of another kind, or is a folder.
    """
    for path in paths:
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise unwritable(path, error) from error
        if stat.S_ISDIR(status.st_mode):
            raise RunFolderUnusableError("is a folder", source=path, hint="name a file")
        if stat.S_ISREG(status.st_mode) and status.st_size and not overwrite:
            raise RunFolderUnusableError(
                "already exists", source=path, hint=f"choose another name, or add {option('overwrite')}"
            )
        if stat.S_ISREG(status.st_mode) and status.st_size and not _begins_with(path, beginning):
            raise RunFolderUnusableError(
                "has other content than would be written now", source=path, hint="choose another name"
            )


def _begins_with(path: Path, beginning: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(beginning)) == beginning
    except OSError as error:
        raise unwritable(path, error) from error


def refuse_unwritable(folder: Path, *, must_exist: bool = False) -> None:
    """Check in advance whether a folder for results can be created or written. Creates nothing.

    Args:
        folder: the folder.
        must_exist: whether it will not be created.

    Raises:
        RunFolderUnusableError: it, or the folder in which to create it, is a file, or cannot be written.
    """
    if must_exist and not folder.exists():
        raise RunFolderUnusableError("no such folder", source=folder, hint="create it, or choose another")
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise RunFolderUnusableError(
            f"cannot be written ({nearest} is a file)", source=folder, hint="choose another folder"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunFolderUnusableError(
            f"cannot be written ({nearest} is read-only for you)",
            source=folder,
            hint="choose another folder, or change its permissions",
        )


def remove_file(path: Path) -> None:
    """Remove a file, if it exists.

    Raises:
        RunFolderUnusableError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunFolderUnusableError(
            f"cannot be removed ({error.strerror})", source=path, hint="check its permissions"
        ) from error
