"""Allows only one training at a time in a folder: two could leave the recipe of one beside the weights of the other."""

from __future__ import annotations

import fcntl
import functools
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from videoclf.errors import RunFolderUnusableError, one_line, printable
from videoclf.files import prepare_folder, refuse_unwritable, unwritable
from videoclf.option_names import option
from videoclf.progress import ProgressLike, as_progress
from videoclf.training.run.processes import is_first_process

LOCK_NAME = ".lock"

P = ParamSpec("P")
T = TypeVar("T")


def alone_in_out(work: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function with the keyword arguments ``out`` and ``progress``: only one such call works in a folder at
    a time.

    Of several processes that train one network, the first one locks the folder for all. A folder that cannot be written
    is left to the function, which may only read it, or reports the error.
    """

    @functools.wraps(work)
    def alone(*arguments: P.args, **options: P.kwargs) -> T:
        out, progress = options.get("out"), cast(ProgressLike, options.get("progress"))
        if not isinstance(out, str | Path) or not is_first_process() or not _can_be_written(Path(out)):
            return work(*arguments, **options)
        with alone_in(Path(out), as_progress(progress).notice):
            return work(*arguments, **options)

    return alone


@contextmanager
def alone_in(folder: Path, notice: Callable[[str], object]) -> Iterator[None]:
    """Lock a folder against other trainings. It is created if it does not exist, and removed again if it stays empty.

    The lock (flock of the operating system) is on a file in the folder: it ends with its process, however that ends,
    and a file that stays behind locks nothing. It works over NFS too. (filelock, which torch installs, only says that
    the lock is taken, not by which process.)

    Args:
        folder: the folder of a run or a cross-validation.
        notice: called with one line if the file system does not support locks; the training continues without.

    Raises:
        RunFolderUnusableError: another training works there, or the folder cannot be created or written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    prepare_folder(folder)
    descriptor = None
    try:
        descriptor = _acquire(folder, notice)
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):  # before the lock is given back: it may be another's file then
                (folder / LOCK_NAME).unlink()
            os.close(descriptor)
        with suppress(OSError):  # where something lies in it, it stays
            for path in made:
                path.rmdir()


def _can_be_written(folder: Path) -> bool:
    try:
        refuse_unwritable(folder)
    except RunFolderUnusableError:
        return False
    return True


def _acquire(folder: Path, notice: Callable[[str], object]) -> int:
    path = folder / LOCK_NAME
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _read_holder(descriptor)
            os.close(descriptor)
            raise RunFolderUnusableError(
                f"another training is already working here ({holder})",
                source=folder,
                hint=f"wait until it ends, or choose another {option('out')}",
            ) from error
        except OSError as error:
            notice(
                f"{folder}: its file system does not support locks ({error.strerror}); "
                "do not start a second training here"
            )
        if _is_still_at(path, descriptor):
            break
        os.close(descriptor)  # who held the lock has just removed the file
    with suppress(OSError):  # for the message only
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
    return descriptor


def _is_still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read_holder(descriptor: int) -> str:
    try:
        text = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
    except OSError:
        text = ""
    return printable(one_line(text)).removesuffix(f" on {platform.node()}") or "a process that has just started"
