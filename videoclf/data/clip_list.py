"""Reads lists of clips: one line per clip, with columns named in the first line or, without names, in a fixed order."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from videoclf.errors import DatasetInvalidError, one_line

Part = Literal["train", "validation", "test"]
"""The part of a split that a clip is assigned to."""

PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")

PART_OF_NAME: Final[dict[str, Part]] = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Accepted names of the parts, in lower case: of folders, and as values of a column."""

_Column: TypeAlias = Literal["path", "label", "group", "split"]

_NAMES: Final[dict[_Column, tuple[str, ...]]] = {
    "path": ("path", "file", "filename", "filepath", "video", "videopath", "videofile", "clip", "clippath"),
    "label": ("label", "class", "classname", "labelname", "category", "action"),
    "group": ("group", "groupid", "subject", "person"),
    "split": ("split", "part", "subset", "partition"),
}
"""Columns by what people call them, without case, spaces, hyphens and underscores."""

_COLUMN_OF_NAME: Final[dict[str, _Column]] = {name: column for column, names in _NAMES.items() for name in names}


@dataclass(frozen=True)
class ClipRow:
    """One line of a list."""

    path: str
    """As written in the list: relative to the list's folder, or absolute."""
    label: str
    group: str | None
    part: Part | None
    line_number: int


@dataclass(frozen=True)
class ClipList:
    """The content of a list."""

    rows: tuple[ClipRow, ...]
    unused_columns: tuple[str, ...] = ()
    """Names in the first line that are not used."""


def read_clip_list(path: Path) -> ClipList:
    """Read the rows of a list, in its order. No video is opened.

    The first line may name the columns, in any case and order: ``path`` and ``label`` (or ``filename``, ``video_path``,
    ``class``, ...), ``group`` and ``split`` if there are such; others are ignored. Without names, columns are
    path, label and, if there is a third, group. The file of the first line must then exist, so that a line of unknown
    names is never taken for a clip.

    Raises:
        DatasetInvalidError: the list cannot be read or is empty, a column is unknown or given twice, or a line is
            malformed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True, strict=True)  # a quote that is never closed
            lines = [(reader.line_num, fields) for row in reader if any(fields := [field.strip() for field in row])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetInvalidError(
            f"cannot be read as a list of path,label ({one_line(error)})",
            source=path,
            hint="save it as a CSV file in UTF-8",
        ) from error
    header = _read_header(lines[0][1], path) if lines else None
    body = lines[1:] if header else lines
    if not body:
        raise DatasetInvalidError("the list is empty", source=path, hint="write a line path,label for each clip")
    if header:
        return ClipList(
            tuple(_parse_named(fields, header, path, number) for number, fields in body),
            tuple(name for name, column in header if name and column is None),
        )
    _check_first_line(*body[0], path)
    rows = tuple(_parse_unnamed(fields, path, number) for number, fields in body)
    groups = {row.group.casefold() for row in rows if row.group}
    if parts := sorted(groups & PART_OF_NAME.keys()):
        raise DatasetInvalidError(
            f"its third column contains {', '.join(parts)}",
            source=path,
            hint="name the columns in a first line: path,label,split (or path,label,group)",
        )
    return ClipList(rows)


_Header: TypeAlias = list[tuple[str, _Column | None]]


def _column_of(name: str) -> _Column | None:
    return _COLUMN_OF_NAME.get("".join(c for c in name.casefold() if c not in " _-"))


def _read_header(fields: Sequence[str], path: Path) -> _Header | None:
    """None where the first line names no path or no label: it may be a clip."""
    header: _Header = [(name, _column_of(name)) for name in fields]
    columns = [column for _, column in header if column]
    if not {"path", "label"} <= set(columns):
        return None
    for column in columns:
        names = [name for name, each in header if each == column]
        if len(names) > 1:
            raise DatasetInvalidError(
                f"columns {' and '.join(names)} both mean {column}", source=f"{path}, line 1", hint="remove one"
            )
    return header


def _check_first_line(number: int, fields: Sequence[str], path: Path) -> None:
    try:
        if (path.parent / fields[0]).is_file():
            return
    except (OSError, ValueError):  # a name that is too long, or holds a zero, is nobody's
        pass
    found = {_column_of(name) for name in fields}
    if len(found & {"path", "label"}) == 1:
        lacking: _Column = "label" if "path" in found else "path"
        raise DatasetInvalidError(
            f"{','.join(fields)[:200]!r} has no column for the {lacking}",
            source=f"{path}, line {number}",
            hint=f"name it {', or '.join(_NAMES[lacking])}",
        )
    if len(fields) == 1 and (separator := next((c for c in "\t;|" if c in fields[0]), "")):
        raise DatasetInvalidError(
            f"its columns are separated by {separator!r}",
            source=f"{path}, line {number}",
            hint="separate them by commas: path,label",
        )
    known = "; ".join(f"{column}: {', '.join(names)}" for column, names in _NAMES.items())
    raise DatasetInvalidError(
        f"{','.join(fields)[:200]!r} has no known column names, and {fields[0][:200]!r} is not a file in the folder of "
        "the list",
        source=f"{path}, line {number}",
        hint=f"correct the path, or begin with a line path,label. Known names: {known}",
    )


def _parse_unnamed(fields: Sequence[str], path: Path, number: int) -> ClipRow:
    if len(fields) not in {2, 3} or not fields[0] or not fields[1]:
        raise DatasetInvalidError(
            f"expected path,label or path,label,group, got {','.join(fields)!r}", source=f"{path}, line {number}"
        )
    return ClipRow(fields[0], fields[1], fields[2] or None if len(fields) == 3 else None, None, number)


def _parse_named(fields: Sequence[str], header: _Header, path: Path, number: int) -> ClipRow:
    value = {column: field for (_, column), field in zip(header, fields, strict=False) if column}
    if len(fields) != len(header) or not value.get("path") or not value.get("label"):
        raise DatasetInvalidError(
            f"expected {','.join((name for name, _ in header))}, got {','.join(fields)!r}",
            source=f"{path}, line {number}",
        )
    said = value.get("split", "")
    if said and said.casefold() not in PART_OF_NAME:
        raise DatasetInvalidError(
            f"split {said!r} is unknown",
            source=f"{path}, line {number}",
            hint="write train, val or test (or nothing, to leave the clip out), or rename the column",
        )
    part = PART_OF_NAME[said.casefold()] if said else None
    return ClipRow(value["path"], value["label"], value.get("group") or None, part, number)
