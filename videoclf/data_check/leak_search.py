"""The search for leaks before training: one pass over the clips of a split, or of all folds of a cross-validation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data.dataset import Dataset
from videoclf.data.splits import Split
from videoclf.data_check import leaks
from videoclf.data_check.exact_duplicates import find_exact_duplicates
from videoclf.data_check.findings import Leak
from videoclf.data_check.near_duplicates import NearDuplicate, find_near_duplicates
from videoclf.data_check.scan import ScannedClip, scan
from videoclf.errors import SplitLeaksError
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.option_names import option
from videoclf.progress import Progress, ProgressLike, as_progress

MAX_CLIPS_BEFORE_TRAINING = 1000
"""A training run on more clips does not check for near-duplicates: its first step would wait for minutes."""


@dataclass(frozen=True)
class LeakSearch:
    """What a search found."""

    by_split: tuple[tuple[Leak, ...], ...]
    """The leaks of each split, in the order of the splits."""
    has_near_duplicates_checked: bool
    """False where there are too many clips for it."""


def find_leaks(
    splits: Sequence[Split],
    *,
    workers: int = DEFAULT_NUM_THREADS,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    max_clips: int = MAX_CLIPS_BEFORE_TRAINING,
    progress: ProgressLike = None,
) -> LeakSearch:
    """Groups, exact duplicates and, of up to ``max_clips`` clips, near-duplicates in two parts of a split.

    Args:
        splits: of the same clips, which are decoded once.
        workers: number of videos decoded at the same time.
        reading: the decoder and its options.
        max_clips: of more clips, near-duplicates are not searched for.
        progress: receives the progress.
    """
    watcher = as_progress(progress)
    parts = [leaks.parts_of(split) for split in splits]
    clips = list(
        {clip.path: clip for split in splits for clip in (*split.train, *split.validation, *split.test)}.values()
    )
    exact = find_exact_duplicates([clip.path for clip in clips])
    has_few = len(clips) <= max_clips
    pairs: list[tuple[Path, Path]] = []
    if has_few:

        def are_separated(first: int, second: int) -> bool:
            one, other = clips[first].path, clips[second].path
            return any(part_of.get(one) != part_of.get(other) for part_of in parts)

        watcher.stage("checking for duplicates", len(clips))
        scanned = scan(clips, num_threads=workers, reading=reading, on_clip=lambda _clip: watcher.advance())
        near = find_among_scanned(scanned, exact, workers, reading, watcher, is_wanted=are_separated)
        pairs = paths_of_pairs(scanned, near)
    found = (tuple(leaks.all_leaks(split, exact, pairs, part_of)) for split, part_of in zip(splits, parts, strict=True))
    return LeakSearch(tuple(found), has_few)


def check_before_training(
    splits: Mapping[str, Split],
    dataset: Dataset,
    *,
    workers: int,
    reading: ReadOptions,
    progress: Progress,
    allow_leaks: bool,
    how_to_group: str,
    check_command: str,
) -> None:
    """Search splits for leaks; the first one that leaks is refused or, where leaks are allowed, reported.

    Args:
        splits: by the names that messages use.
        dataset: whose clips they divide.
        workers: number of videos decoded at the same time.
        reading: the decoder and its options.
        progress: receives the progress and the notices.
        allow_leaks: whether a split may leak.
        how_to_group: the options that keep groups together, for the message.
        check_command: lists all leaks.

    Raises:
        SplitLeaksError: with the first leaks and what to do.
    """
    search = find_leaks(list(splits.values()), workers=workers, reading=reading, progress=progress)
    name, found = next(((name, each) for name, each in zip(splits, search.by_split, strict=True) if each), ("", ()))
    if found and not allow_leaks:
        raise SplitLeaksError(
            f"{leaks.describe(found, name)}. Group them ({how_to_group}), remove the copies, or continue with "
            f"{option('allow_leaks')}",
            source=dataset.source,
            hint=f"to list all: {check_command}",
        )
    if found:
        progress.notice(f"{dataset.source}: {leaks.describe(found, name)}")
    if not search.has_near_duplicates_checked:
        progress.notice(
            f"of more than {MAX_CLIPS_BEFORE_TRAINING:,} clips, near-duplicates are not searched for before training; "
            f"do it once: {check_command}"
        )


def check_command(dataset: Dataset, split: Split | None = None) -> str:
    """The command that lists what leaks; of a split, with the groups that the dataset was read with."""
    by_group = f" --group-regex {shlex.quote(dataset.group_regex)}" if split and dataset.group_regex else ""
    divided = f" --split {shlex.quote(split.spec)}" if split else ""
    return f"videoclf check {shlex.quote(dataset.source)}{divided}{by_group}"


def find_among_scanned(
    scanned: Sequence[ScannedClip],
    exact: Sequence[tuple[Path, ...]],
    num_threads: int,
    reading: ReadOptions,
    watcher: Progress,
    is_wanted: Callable[[int, int], bool] = lambda _first, _second: True,
) -> list[NearDuplicate]:
    """Near-duplicates among the clips. Of identical files, only the first is compared."""
    others = {path for paths in exact for path in paths[1:]}
    return find_near_duplicates(
        [each.clip.path for each in scanned],
        [None if each.clip.path in others else each.fingerprint for each in scanned],
        num_threads=num_threads,
        reading=reading,
        on_start=lambda total: watcher.stage("pairs of clips", total),
        on_pair=watcher.advance,
        is_wanted=is_wanted,
    )


def paths_of_pairs(scanned: Sequence[ScannedClip], near: Sequence[NearDuplicate]) -> list[tuple[Path, Path]]:
    """The files of near-duplicates."""
    return [(scanned[pair.first].clip.path, scanned[pair.second].clip.path) for pair in near]
