"""The table of ``predict --csv``: each row is written to disk at once; old content stays until the first row."""

from __future__ import annotations

import contextlib
import csv
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from videoclf.errors import MediaError, RunFolderUnusableError, UsageInvalidError
from videoclf.files import refuse_to_replace, refuse_unwritable, unwritable

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet treats a cell that begins like this as a formula, and evaluates it when the table is opened."""


class CsvTable:
    """A table in a file, a pipe, or standard output (``/dev/stdout``, in order with what else is printed there).

    Cells are written unchanged, including ``=HYPERLINK(...)``: a label is data that programs read back and compare, and
    with the apostrophe or blank that would stop a spreadsheet it would be another label. The first cell that a
    spreadsheet would evaluate is reported.

    Args:
        path: a file that does not exist or is empty; with ``overwrite``, also one with content. An existing file is
            opened now. It is created or emptied with the first row, so a command that fails before destroys no table.
        columns: the first line.
        overwrite: whether a file with content may be replaced.
        notice: called once, about the first cell that a spreadsheet would evaluate.

    Raises:
        RunFolderUnusableError: the file already has content (with ``overwrite``: not of such a table), is a folder, or
            cannot be written.
        UsageInvalidError: the file is a video.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, overwrite: bool, notice: Callable[[str], object]) -> None:
        self._path, self._columns, self._notice = path, columns, notice
        self._file: TextIO | None = None
        self._has_reported_formula = False
        self._descriptor = _own_stream(path)
        self._holds_old_rows = False
        if self._descriptor is None:
            _refuse_video(path)
            refuse_to_replace(path, overwrite=overwrite, beginning=f"{columns[0]},".encode())
            self._descriptor = self._open_if_there()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with contextlib.suppress(OSError):  # what could not be flushed has been reported
            if self._file is not None:
                self._file.close()
            elif self._descriptor is not None:
                os.close(self._descriptor)

    def write(self, row: Sequence[object]) -> None:
        """Write one row to disk; before the first one, the names of the columns.

        Raises:
            RunFolderUnusableError: the disk is full, or another process has created the file in the meantime.
        """
        try:
            if self._file is None:
                self._file = self._begin()
                csv.writer(self._file).writerow(self._columns)
            csv.writer(self._file).writerow(row)
            self._file.flush()
            if self._holds_old_rows:  # they go once the new table has a row, not before
                os.ftruncate(self._file.fileno(), os.lseek(self._file.fileno(), 0, os.SEEK_CUR))
                self._holds_old_rows = False
        except FileExistsError as error:
            raise RunFolderUnusableError(f"{self._path}: was created by another process; name another file") from error
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._report_formulas(row)

    def _open_if_there(self) -> int | None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY)  # a pipe waits here for its reader
        except FileNotFoundError:
            refuse_unwritable(self._path.parent, must_exist=True)
            return None
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._holds_old_rows = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return descriptor

    def _begin(self) -> TextIO:
        if self._descriptor is None:
            target = os.path.realpath(self._path)  # of a link that leads nowhere yet
            self._descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        return open(self._descriptor, "w", newline="", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123

    def _report_formulas(self, row: Sequence[object]) -> None:
        formula = next((cell for cell in row if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS)), None)
        if formula is not None and not self._has_reported_formula:
            self._has_reported_formula = True
            self._notice(
                f"{self._path}: a spreadsheet would evaluate {formula[:40]!r} as a formula; import the columns as text"
            )


def _own_stream(path: Path) -> int | None:
    """A descriptor of this process's output if the path refers to it (``/dev/stdout``). Opened again, a file behind it
    would be emptied, and overwritten by what else is printed."""
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return os.dup(descriptor)
    return None


def _refuse_video(path: Path) -> None:
    """A forgotten value, as in ``--csv *.avi``, must not destroy a video."""
    from videoclf.media.gate import admit

    with contextlib.suppress(MediaError):
        admit(path)
        raise UsageInvalidError(f"--csv {path}: is a video, which the table would overwrite; name another file")
