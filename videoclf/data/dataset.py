"""Labelled clips: read from a UCF101-style folder (``Class/v_Class_g01_c02.avi``) or from a list of ``path,label``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from videoclf.errors import DatasetInvalid, UsageInvalid, one_line
from videoclf.label_names import refuse_look_alikes
from videoclf.media.sources import videos_below, without_credentials

UCF_GROUP_PATTERN = r"_(g\d+)_"
"""UCF101's naming: clips of one group come from one video, one person or one place."""


@dataclass(frozen=True)
class LabelledClip:
    """One clip and what is known of it before it is opened."""

    path: Path
    label: str
    group: str | None
    """Clips of one group must not be parted by a split; None where nothing says."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its labels, where a clip may have several: ``walk`` and ``talk`` of ``walk|talk``."""
        return names_in(self.label)


@dataclass(frozen=True, repr=False)
class Dataset:
    """Labelled clips from one place."""

    source: str
    """The folder or list, for messages."""
    clips: tuple[LabelledClip, ...]
    group_pattern: str | None = None
    """What was searched in file names for the groups, where it was given."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that occur, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that occur, sorted."""
        return tuple(sorted({clip.group for clip in self.clips if clip.group is not None}))

    def __repr__(self) -> str:
        return f"Dataset({self.source}: {len(self.clips)} clips, {len(self.labels)} classes, {len(self.groups)} groups)"


def names_in(label: str) -> tuple[str, ...]:
    """The labels in a list's label column, each once.

    >>> names_in("walk | talk")
    ('walk', 'talk')
    """
    parts = dict.fromkeys(part.strip() for part in label.split("|"))
    return tuple(part for part in parts if part) or (label,)


def load_dataset(source: str | Path, *, group_pattern: str | None = None) -> Dataset:
    """The clips of a folder or of a list file; opens no video.

    Args:
        source: a folder whose subfolders are the classes, or a text file of ``path,label`` or ``path,label,group``
            lines (paths relative to the file; a first line ``path,label`` is skipped). Several labels of one clip stand
            in one column, ``walk|talk``; only a recipe with ``training.objective = "sigmoid"`` tells them apart.
        group_pattern: a regular expression searched in file names; its first group, or else the whole match, names
            the clip's group. A list's own group column goes first.

    Raises:
        UsageInvalid: the pattern is no regular expression.
        DatasetInvalid: nothing there, no classes, no clips, an unreadable line, or names that nobody can tell apart.
    """
    path = Path(source)
    pattern = _compile(group_pattern or UCF_GROUP_PATTERN)
    if path.is_dir():
        clips = _scan_folder(path, pattern)
    elif path.is_file():
        clips = _read_list(path, pattern)
    else:
        raise DatasetInvalid(f"{without_credentials(path)}: no such folder or list of path,label; check the path")
    refuse_look_alikes((clip.label for clip in clips), "class", str(path))
    refuse_look_alikes((name for clip in clips for name in clip.names), "class", str(path))
    refuse_look_alikes((clip.group for clip in clips if clip.group is not None), "group", str(path))
    return Dataset(str(path), tuple(clips), group_pattern)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageInvalid(f"--group-regex {pattern!r}: is no regular expression ({error})") from error


def _group_of(name: str, pattern: re.Pattern[str]) -> str | None:
    match = pattern.search(name)
    if match is None:
        return None
    return match[1] if pattern.groups else match[0]


def _scan_folder(folder: Path, pattern: re.Pattern[str]) -> list[LabelledClip]:
    class_folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    clips = [
        LabelledClip(path, class_folder.name, _group_of(path.name, pattern))
        for class_folder in class_folders
        for path in videos_below(class_folder)
    ]
    if not clips:
        loose = f"; the {len(videos_below(folder))} videos in it lie in no class folder" if videos_below(folder) else ""
        raise DatasetInvalid(f"{folder}: holds no CLASS/clip.avi (or other video){loose}; see docs/training.md")
    return clips


def _read_list(path: Path, pattern: re.Pattern[str]) -> list[LabelledClip]:
    clips: dict[Path, LabelledClip] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True)
            for row in reader:
                fields = [field.strip() for field in row]
                if not any(fields) or (not clips and fields[:2] == ["path", "label"]):
                    continue
                clip = _parse_row(fields, path, reader.line_num, pattern)
                if clip.path in clips:
                    raise DatasetInvalid(
                        f"{path}, line {reader.line_num}: {clip.path} is listed twice; remove one line"
                    )
                clips[clip.path] = clip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetInvalid(f"{path}: cannot be read as a list of path,label ({one_line(error)})") from error
    if not clips:
        raise DatasetInvalid(f"{path}: the list is empty; write a line path,label for each clip")
    return list(clips.values())


def _parse_row(fields: list[str], path: Path, number: int, pattern: re.Pattern[str]) -> LabelledClip:
    if len(fields) not in {2, 3} or not fields[0] or not fields[1]:
        raise DatasetInvalid(
            f"{path}, line {number}: expected path,label or path,label,group, got {','.join(fields)!r}"
        )
    clip_path = path.parent / fields[0]
    group = fields[2] if len(fields) == 3 and fields[2] else _group_of(clip_path.name, pattern)
    return LabelledClip(clip_path, fields[1], group)


def check_labels(
    clips: Iterable[LabelledClip], known: tuple[str, ...], *, model: str, has_several: bool = False
) -> None:
    """Every clip's class (each of its labels, where it may have several) is one that the model knows.

    Raises:
        DatasetInvalid: names the first that is not.
    """
    for clip in clips:
        unknown = [name for name in (clip.names if has_several else (clip.label,)) if name not in known]
        if unknown:
            raise DatasetInvalid(
                f"{clip.path}: its class {unknown[0]!r} is unknown to {model}, which knows {', '.join(known[:20])}"
                f"{', ...' if len(known) > 20 else ''}; rename the folder, or train on it: videoclf train"
            )
