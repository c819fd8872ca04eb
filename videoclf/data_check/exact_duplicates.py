"""Finds identical files: by size first, so that few files are read."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

Key = TypeVar("Key")

_HEAD_BYTES = 64 * 1024
"""Enough to tell most files of equal size apart (all of an uncompressed set are) without reading them whole."""


def find_exact_duplicates(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Find sets of two or more paths whose files are identical, links included, in the order given.

    Empty files, and files that cannot be read, are left out.
    """
    by_size = _together(paths, _size_bytes)
    heads, contents = _Digests(_HEAD_BYTES), _Digests()
    by_head = [same for group in by_size for same in _together(group, heads)]
    return [tuple(same) for group in by_head for same in _together(group, contents)]


class _Digests:
    """Digests of the first bytes of files, or of all. A file with several names is read once."""

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._known: dict[tuple[int, int], bytes | None] = {}

    def __call__(self, path: Path) -> bytes | None:
        try:
            status = path.stat()
        except OSError:
            return None
        key = (status.st_dev, status.st_ino)
        if key not in self._known:
            self._known[key] = _digest(path, self._max_bytes)
        return self._known[key]


def _together(paths: Iterable[Path], key_of: Callable[[Path], Key | None]) -> list[list[Path]]:
    """Groups of two or more paths with equal keys."""
    groups: dict[Key, list[Path]] = {}
    for path in paths:
        if (key := key_of(path)) is not None:
            groups.setdefault(key, []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def _size_bytes(path: Path) -> int | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size or None if stat.S_ISREG(status.st_mode) else None  # reading a pipe would wait for ever


def _digest(path: Path, max_bytes: int | None) -> bytes | None:
    try:
        with path.open("rb") as file:
            if max_bytes is not None:
                return hashlib.blake2b(file.read(max_bytes)).digest()
            return hashlib.file_digest(file, hashlib.blake2b).digest()
    except OSError:
        return None
