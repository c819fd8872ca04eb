"""Reads labelled clips from a UCF101-style folder (``Class/v_Class_g01_c02.avi``), from a folder that is divided into
parts (``train/Class/clip.avi``), or from a list of ``path,label``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videoclf.data.clip_list import PART_OF_NAME, Part, read_clip_list
from videoclf.errors import DatasetInvalidError, UsageInvalidError
from videoclf.label_names import refuse_look_alikes
from videoclf.media.sources import VIDEO_SUFFIXES, videos_below, without_credentials
from videoclf.option_names import option

UCF_GROUP_PATTERN = r"_(g\d+)_"
"""UCF101's naming. Clips of one group come from one video, one person or one place."""

_UCF_GROUP = re.compile(UCF_GROUP_PATTERN)


@dataclass(frozen=True)
class LabelledClip:
    """One clip, and what is known about it before it is opened."""

    path: Path
    label: str
    group: str | None
    """A split must not separate clips of one group; None if the group is unknown."""
    part: Part | None = None
    """The part that the dataset assigns the clip to; None if it assigns none."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its labels, if a clip may have several: ``walk`` and ``talk`` of ``walk|talk``."""
        return names_in(self.label)


@dataclass(frozen=True, repr=False)
class Dataset:
    """Labelled clips from one folder or list."""

    source: str
    """The folder or list, for messages."""
    clips: tuple[LabelledClip, ...]
    group_regex: str | None = None
    """What was searched in names for the groups, where it was given."""
    warnings: tuple[str, ...] = ()
    """What was ignored, one line each."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that occur, sorted."""
        return tuple(sorted({clip.label for clip in self.clips}))

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that occur, sorted."""
        return tuple(sorted({clip.group for clip in self.clips if clip.group is not None}))

    @property
    def has_parts(self) -> bool:
        """Whether the dataset assigns clips to training and test parts."""
        return any(clip.part is not None for clip in self.clips)

    def __repr__(self) -> str:
        return f"Dataset({self.source}: {len(self.clips)} clips, {len(self.labels)} classes, {len(self.groups)} groups)"


def names_in(label: str) -> tuple[str, ...]:
    """The labels in a list's label column, each once.

    >>> names_in("walk | talk")
    ('walk', 'talk')
    """
    parts = dict.fromkeys(part.strip() for part in label.split("|"))
    return tuple(part for part in parts if part) or (label,)


def load_dataset(source: str | Path, *, group_regex: str | None = None) -> Dataset:
    """Read the clips of a folder or of a list file. No video is opened.

    Args:
        source: a folder whose subfolders are the classes, or are ``train``, ``val`` and ``test`` (or training, valid,
            validation, testing) with the classes in them; or a text file of ``path,label`` or ``path,label,group``
            lines, whose first line may name the columns, see `read_clip_list` (paths are relative to the file). Several
            labels of one clip are written in one column, ``walk|talk``; only a recipe with
            ``training.objective = "sigmoid"`` separates them.
        group_regex: a regular expression searched in file names or, if no file name has it, in paths below the
            source; its first group, or else the whole match, names the clip's group. A list's own group column goes
            first.

    Raises:
        UsageInvalidError: the pattern is not a regular expression, or matches nothing.
        DatasetInvalidError: there is nothing to read, no classes, no clips, an unreadable line, or names that look the
            same.
    """
    path = Path(source)
    pattern = None if group_regex is None else _compile(group_regex)
    if path.is_dir():
        scan = _scan_folder(path)
    elif path.is_file():
        scan = _read_list(path)
    else:
        raise DatasetInvalidError(
            "no such folder or list of path,label", source=without_credentials(path), hint="check the path"
        )
    warnings = list(scan.warnings)
    if pattern is None:
        groups = [_group_of(found.clip.path.name, _UCF_GROUP) for found in scan.clips]
    else:
        groups = _find_groups(scan.clips, pattern, str(path))
        if all(found.clip.group is not None for found in scan.clips):
            warnings.append(
                f"{option('group_regex', group_regex)}: not used, because {path} names the group of every clip"
            )
        else:
            warnings += _warn_of_groups(groups, pattern.pattern)
    grouped = [
        found.clip if found.clip.group is not None else replace(found.clip, group=group)
        for found, group in zip(scan.clips, groups, strict=True)
    ]
    refuse_look_alikes((clip.label for clip in grouped), "class", str(path))
    refuse_look_alikes((name for clip in grouped for name in clip.names), "class", str(path))
    refuse_look_alikes((clip.group for clip in grouped if clip.group is not None), "group", str(path))
    return Dataset(str(path), tuple(grouped), group_regex, tuple(warnings))


@dataclass(frozen=True)
class _Found:
    """A clip, its group only where a list says it."""

    clip: LabelledClip
    name_below: str
    """Its path below the folder, or as the list has it."""


@dataclass(frozen=True)
class _Scan:
    """What a folder or a list holds."""

    clips: Sequence[_Found]
    warnings: Sequence[str]


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageInvalidError(
            f"is not a regular expression ({error})", source=option("group_regex", pattern)
        ) from error


def _group_of(name: str, pattern: re.Pattern[str]) -> str | None:
    match = pattern.search(name)
    if match is None:
        return None
    return match[1] if pattern.groups else match[0]


def _find_groups(clips: Sequence[_Found], pattern: re.Pattern[str], source: str) -> list[str | None]:
    """By file names or, if none of them matches, by paths: never some by these and some by those."""
    for names in ([found.clip.path.name for found in clips], [found.name_below for found in clips]):
        groups = [_group_of(name, pattern) for name in names]
        if any(groups):
            return groups
    ungrouped = [found.name_below for found in clips if found.clip.group is None]
    if ungrouped:
        raise UsageInvalidError(
            f"matches no file name and no path of {source}, such as {', '.join(ungrouped[:3])}",
            source=option("group_regex", pattern.pattern),
            hint="correct or omit it",
        )
    return [None] * len(clips)


def _warn_of_groups(found: Sequence[str | None], pattern: str) -> list[str]:
    """A line where a pattern makes no groups worth the name."""
    groups = [group for group in found if group is not None]
    named = f"{option('group_regex', pattern)}"
    if len(found) > 1 and len(set(groups)) == 1:
        return [f"{named}: finds only one group, {groups[0]!r}, in {len(groups)} of {len(found)} clips"]
    if len(found) > 1 and len(set(groups)) == len(groups):
        return [
            f"{named}: every clip has its own group, such as {groups[0]!r}: splits are then random, and their "
            "figures are higher than on new videos if clips have the same origin"
        ]
    if len(groups) < len(found):
        return [f"{named}: finds a group in only {len(groups)} of {len(found)} clips"]
    return []


def _scan_folder(folder: Path) -> _Scan:
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    videos = {path: found for path in subfolders if (found := videos_below(path))}
    loose = [path for path in folder.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    loose = sorted(path for path in loose if not path.name.startswith("."))
    if not videos:
        hint = f"; its {len(loose)} videos are not in class folders" if loose else ""
        raise DatasetInvalidError(
            f"contains no CLASS/clip.avi (or other video){hint}", source=folder, hint="see docs/training.md"
        )
    if _is_laid_out_in_parts(folder, videos):
        loose += [path for part, paths in videos.items() for path in paths if path.parent == part]
        clips = [
            LabelledClip(path, path.relative_to(part).parts[0], None, PART_OF_NAME[part.name.casefold()])
            for part, paths in videos.items()
            for path in paths
            if path.parent != part
        ]
    else:
        clips = [LabelledClip(path, subfolder.name, None) for subfolder, paths in videos.items() for path in paths]
    warnings = []
    if loose:
        warnings.append(f"{len(loose)} videos are not in a class folder and are left out, the first is {loose[0]}")
    return _Scan([_Found(clip, clip.path.relative_to(folder).as_posix()) for clip in clips], warnings)


def _is_laid_out_in_parts(folder: Path, videos: dict[Path, list[Path]]) -> bool:
    """Whether the subfolders are the parts of a split, the classes below them.

    Raises:
        DatasetInvalidError: some of them are, or no classes are below them: not to be taken for classes without a word.
    """
    parts = [path for path in videos if path.name.casefold() in PART_OF_NAME]
    _refuse_what_looks_like_parts(folder, videos, parts)
    has_classes = any(path.parent != part for part in parts for path in videos[part])
    if len(parts) == len(videos) and has_classes:
        return True
    if len({PART_OF_NAME[path.name.casefold()] for path in parts}) < 2:
        return False  # one class may well be called test
    named = ", ".join(path.name for path in parts)
    if not has_classes:
        raise DatasetInvalidError(
            f"contains {named}, but no class folders in them",
            source=folder,
            hint=f"arrange clips as {parts[0].name}/CLASS/clip.avi (or rename the folders, if these are the classes)",
        )
    other = next(path.name for path in videos if path not in parts)
    raise DatasetInvalidError(
        f"contains {named}, the parts of a split, beside {other}",
        source=folder,
        hint=f"move {other} away, or rename the parts",
    )


def _refuse_what_looks_like_parts(folder: Path, videos: dict[Path, list[Path]], parts: list[Path]) -> None:
    """``train`` beside ``dev`` with the same folders in both, or parts one folder deeper: no classes, and not to be
    guessed at."""
    inner = {
        top: {path.relative_to(top).parts[0] for path in paths if path.parent != top} for top, paths in videos.items()
    }
    for part in parts:
        twin = next((top for top in videos if top not in parts and inner[top] & inner[part]), None)
        if twin is not None:
            raise DatasetInvalidError(
                f"{part.name} and {twin.name} contain folders with the same names, such as "
                f"{min(inner[twin] & inner[part])}: they look like parts of a split",
                source=folder,
                hint="name them train, val and test",
            )
    if len(videos) == 1 and not parts:
        (top, names), *_ = inner.items()
        if len({PART_OF_NAME.get(name.casefold()) for name in names} - {None}) > 1:
            raise DatasetInvalidError(
                f"its parts, such as {min(names)}, are in {top}", source=folder, hint="name that folder"
            )


def _read_list(path: Path) -> _Scan:
    listed = read_clip_list(path)
    clips: dict[Path, _Found] = {}
    for row in listed.rows:
        clip = LabelledClip(path.parent / row.path, row.label, row.group, row.part)
        if clip.path in clips:
            raise DatasetInvalidError(
                f"{clip.path} is listed twice", source=f"{path}, line {row.line_number}", hint="remove one line"
            )
        clips[clip.path] = _Found(clip, row.path)
    warnings = []
    if listed.unused_columns:
        warnings.append(f"{path}: not used of its columns: {', '.join(listed.unused_columns)}")
    return _Scan(list(clips.values()), warnings)


def check_labels(
    clips: Iterable[LabelledClip], known: tuple[str, ...], *, model: str, has_several: bool = False
) -> None:
    """Check that every clip's class (each of its labels, if it may have several) is one that the model knows.

    Raises:
        DatasetInvalidError: a class is unknown; the message names the first.
    """
    for clip in clips:
        unknown = [name for name in (clip.names if has_several else (clip.label,)) if name not in known]
        if unknown:
            raise DatasetInvalidError(
                f"its class {unknown[0]!r} is unknown to {model}, which knows "
                f"{', '.join(known[:20])}{', ...' if len(known) > 20 else ''}",
                source=clip.path,
                hint="rename the folder, or train on it: videoclf train",
            )
