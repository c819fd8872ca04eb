"""One training at a time in a folder: of two, one would leave its recipe beside the weights of the other."""

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
    """Of a function with the keyword arguments ``out`` and ``progress``: no other such work goes on in that folder.

    Of several processes that train one network the first holds the folder, for all. A folder that cannot be written is
    left to the function, which may only want to read it, or says so.
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
    """Keep other trainings out of a folder, which is made if it is not there, and removed again if it stays empty.

    The system's own lock (flock) is held on a file in it: it goes with the process that holds it, however that ends,
    and a file that stays behind locks nothing. It works over NFS, too. (filelock, which torch brings along, says only
    that somebody has the lock, not which process.)

    Args:
        folder: of a run or a cross-validation.
        notice: told where the file system has no locks; the training then goes on without.

    Raises:
        RunFolderUnusableError: another training is at work there; the folder cannot be made or written.
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
                f"another training is at work here ({holder})",
                source=folder,
                hint=f"wait for its end, or choose another {option('out')}",
            ) from error
        except OSError as error:
            notice(f"{folder}: its file system has no locks ({error.strerror}); do not start a second training here")
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
    return printable(one_line(text)).removesuffix(f" on {platform.node()}") or "a process that has just begun"
