"""What a user may name as a source: files, folders, globs, and ``-`` for a list on standard input."""

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
"""What a folder scan takes for a video; a file named outright may have any suffix, since its content decides."""


_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:/")
_CREDENTIALS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+:/{1,2}).*@", re.DOTALL)


def is_url(path: Path) -> bool:
    """Whether a name looks like an address rather than a file's."""
    return _URL.match(str(path)) is not None


def without_credentials(path: Path) -> str:
    """A source's name as it may be printed.

    >>> without_credentials(Path("rtsp://user:secret@camera/1"))
    'rtsp:/***@camera/1'
    """
    masked = _CREDENTIALS.sub(r"\1***@", str(path))
    return re.sub(r"\?.*", "?***", masked, flags=re.DOTALL) if is_url(path) else masked


def expand_sources(sources: Iterable[str], stdin: TextIO) -> Iterator[Path]:
    """The files meant, one by one, as they are needed.

    A name that exists is taken as it is, even if it looks like a pattern. A name that means no file (a folder without
    videos, a pattern without matches) is passed on for the gate to refuse, so that it has its place among the results.

    Args:
        sources: files, folders (searched with their subfolders), patterns, or ``-``.
        stdin: where ``-`` reads one source a line.
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
    """All files in a folder and its subfolders whose suffix is a video's, sorted.

    Links to folders are followed, each folder once; hidden files and folders are left out.

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
