"""Writes ``check.html``, the findings with thumbnails in a single file that loads nothing else, and ``check.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from videoclf.data_check.check import Check
from videoclf.data_check.findings import CheckReport
from videoclf.files import prepare_folder, write_atomically
from videoclf.html_page import page_environment
from videoclf.media.thumbnail import data_uri

MAX_SHOWN = 50
"""Rows of each kind: with their thumbnails, all kinds together stay below 3 MB. check.json lists all."""

HTML_NAME = "check.html"
JSON_NAME = "check.json"


def write_check(folder: Path, found: Check) -> None:
    """Write ``check.html`` and ``check.json`` to a folder, which is created if it does not exist.

    Raises:
        RunFolderUnusableError: the folder cannot be written.
    """
    prepare_folder(folder)
    write_atomically(folder / JSON_NAME, found.report.to_json_line().encode())
    write_atomically(folder / HTML_NAME, render(found).encode("utf-8"))


def render(found: Check) -> str:
    """Render the page."""
    template = page_environment("videoclf.data_check").get_template("report.html.j2")
    report = found.report
    return template.render(
        report=report,
        facts=describe_clips(report),
        outlier_kinds=Counter(clip.kind for clip in report.odd),
        largest_class=max((each.num_clips for each in report.classes), default=1),
        thumbnail=lambda path: data_uri(found.thumbnails.get(path, b"")),
        name=lambda path: _name(path, report.source),
        max_shown=MAX_SHOWN,
    )


def describe_clips(report: CheckReport) -> list[tuple[str, str]]:
    """A summary of the clips' properties: headings and lines."""
    opened = [clip for clip in report.clips if clip.codec is not None]
    if not opened:
        return []
    seconds = sorted(clip.duration_seconds or 0.0 for clip in opened)
    return [
        ("length", f"{seconds[0]:.2f} to {seconds[-1]:.2f} s, median {seconds[len(seconds) // 2]:.2f} s"),
        ("size", _most_common(f"{clip.width}×{clip.height}" for clip in opened)),
        ("frame rate", _most_common(f"{round(clip.fps or 0, 1):g} fps" for clip in opened)),
        ("codec", _most_common(clip.codec or "" for clip in opened)),
    ]


def _most_common(values: Iterable[str]) -> str:
    counts = Counter(values)
    named = ", ".join(f"{value} ({count:,})" for value, count in counts.most_common(4))
    return f"{named} and {len(counts) - 4} others" if len(counts) > 4 else named


def _name(path: str, source: str) -> str:
    """The path relative to the folder that was checked."""
    try:
        return str(Path(path).relative_to(source))
    except ValueError:
        return path
