"""Remembers the SHA-256 of video files, so that a file that did not change is not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import threading
import time
import zlib
from pathlib import Path
from typing import TypeAlias

_TRUSTED_AGE_NS = 2_000_000_000
"""A file that was changed so shortly before it was read may change again within the same tick of its clock (2 s on
FAT, less elsewhere), and nobody would notice: what was found of it is not remembered."""

_Stamp: TypeAlias = tuple[int, int, int, int]
"""Size in bytes, time of the last change in nanoseconds, number of the file on its disk, and the time in nanoseconds of
the last change of anything about it: a copy that keeps the other times, and a time that was set back, show in these."""


class ContentIndex:
    """Identifies files by path, size, modification times and inode number.

    One line per file, with a checksum, is appended to a text file in one write. Processes may share the file, and lines
    that are incomplete or changed are ignored. Several threads may use it.

    Args:
        path: of the text file, which need not exist. If it cannot be read or written, or is None, every process reads
            the video files again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, tuple[_Stamp, str]] | None = None

    def sha256(self, video: Path) -> str | None:
        """64 hexadecimal digits for the file's content; None if it cannot be read, or is not a regular file."""
        with self._lock:
            if self._known is None:
                self._known = self._read()
            name = os.path.abspath(video)  # noqa: PTH100  (resolving links would cost more than it tells)
            stamp = _stamp(video)
            if stamp is None:
                return None
            known_stamp, digest = self._known.get(name, (None, ""))
            if known_stamp == stamp:
                return digest
            return self._find_out(video, name, stamp, self._known)

    def _find_out(self, video: Path, name: str, stamp: _Stamp, known: dict[str, tuple[_Stamp, str]]) -> str | None:
        started_ns = time.time_ns()
        try:
            with video.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        _, mtime_ns, _, ctime_ns = stamp
        if _stamp(video) == stamp and max(mtime_ns, ctime_ns) < started_ns - _TRUSTED_AGE_NS:
            known[name] = (stamp, digest)
            self._append(name, stamp, digest)
        return digest

    def _append(self, name: str, stamp: _Stamp, digest: str) -> None:
        if self._path is None:
            return
        # a line break first: whatever another process left unfinished ends here
        line = f"\n{_to_line(name, stamp, digest)}\n".encode()
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)

    def _read(self) -> dict[str, tuple[_Stamp, str]]:
        known: dict[str, tuple[_Stamp, str]] = {}
        if self._path is None:
            return known
        try:
            content = self._path.read_bytes()
        except OSError:
            return known
        for line in content.splitlines():
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                name, *stamp, digest, _ = json.loads(line)
                size_bytes, mtime_ns, inode, ctime_ns = stamp
                if line == _to_line(name, (size_bytes, mtime_ns, inode, ctime_ns), digest).encode():
                    known[name] = ((size_bytes, mtime_ns, inode, ctime_ns), digest)
        return known


def _to_line(name: str, stamp: _Stamp, digest: str) -> str:
    fields = [name, *stamp, digest]
    return json.dumps([*fields, zlib.crc32(json.dumps(fields).encode())])


def _stamp(video: Path) -> _Stamp | None:
    try:
        status = video.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None  # a pipe would never end
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns
