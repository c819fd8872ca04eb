"""Expands the sources that a user names: files, folders, patterns, and ``-`` for a list on standard input."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

VIDEO_SUFFIXES = frozenset({
    ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc", ".ivf",
    ".m1v", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogg", ".ogv",
    ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})  # fmt: skip
"""The suffixes that a folder scan accepts. A file that is named directly may have any suffix: its content decides."""


_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/")
_CREDENTIALS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+:/{1,2}).*@", re.DOTALL)


def is_url(path: Path) -> bool:
    """Whether a name looks like a URL rather than a file name."""
    return _URL.match(str(path)) is not None


def without_credentials(path: Path) -> str:
    """A source's name without user name and password, so that it can be printed.

    >>> without_credentials(Path("rtsp://user:secret@camera/1"))
    'rtsp:/***@camera/1'
    """
    masked = _CREDENTIALS.sub(r"\1***@", str(path))
    return re.sub(r"\?.*", "?***", masked, flags=re.DOTALL) if is_url(path) else masked


def expand_sources(sources: Iterable[str], stdin: TextIO) -> Iterator[Path]:
    """Yield the files that sources name, one by one, as they are needed.

    A name that exists is used as it is, even if it looks like a pattern. A name without files (a folder without videos,
    a pattern without matches) is yielded too: the gate refuses it, so that it appears among the results.

    Args:
        sources: files, folders (searched with their subfolders), patterns, or ``-``.
        stdin: read for ``-``, one source per line.
    """
    for source in sources:
        path = Path(source)
        if source == "-":
            yield from expand_sources((line for raw in stdin if (line := raw.rstrip("\r\n")) not in {"", "-"}), stdin)
        elif source and os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises where the path is too long or closed)
            yield from _videos_or_itself(path)
        elif glob.has_magic(source) and not os.path.lexists(path):
            yield from sorted(Path(match) for match in glob.iglob(source, recursive=True)) or [path]  # noqa: PTH207
        else:
            yield path


def _videos_or_itself(folder: Path) -> list[Path]:
    try:
        return videos_below(folder) or [folder]
    except OSError:
        return [folder]  # the gate will say why


def videos_below(folder: Path) -> list[Path]:
    """All files with a video suffix in a folder and its subfolders, sorted.

    Links to folders are followed, each folder once. Hidden files and folders are skipped.

    Raises:
        OSError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    videos: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        status = os.stat(root)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(root, name) for name in files if not name.startswith("."))
        videos += [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    return sorted(videos)
