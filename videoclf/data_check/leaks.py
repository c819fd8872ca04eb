"""Finds groups, and copies of clips, on two sides of a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from videoclf.data.clip_list import PARTS, Part
from videoclf.data.dataset import LabelledClip
from videoclf.data.splits import Split
from videoclf.data_check.findings import Leak

_MAX_NAMED = 3


def parts_of(split: Split) -> dict[Path, Part]:
    """The part of each clip of a split."""
    sides: tuple[Sequence[LabelledClip], ...] = (split.train, split.validation, split.test)
    return {clip.path: part for part, clips in zip(PARTS, sides, strict=True) for clip in clips}


def leaking_groups(split: Split) -> list[Leak]:
    """One leak for each group and each two parts in which it has clips."""
    first_of: dict[str, dict[Part, Path]] = {}
    sides: tuple[Sequence[LabelledClip], ...] = (split.train, split.validation, split.test)
    for part, clips in zip(PARTS, sides, strict=True):
        for clip in clips:
            if clip.group is not None:
                first_of.setdefault(clip.group, {}).setdefault(part, clip.path)
    return [
        Leak(
            kind="group",
            first=str(paths[one]),
            first_part=one,
            second=str(paths[other]),
            second_part=other,
            group=group,
        )
        for group, paths in sorted(first_of.items())
        for one, other in combinations(paths, 2)
    ]


def leaking_exact_duplicates(sets: Iterable[tuple[Path, ...]], part_of: Mapping[Path, Part]) -> list[Leak]:
    """One leak for each set of identical files and each two parts that contain some of them: the first in each."""
    leaks = []
    for paths in sets:
        first_in: dict[Part, Path] = {}
        for path in paths:
            if path in part_of:
                first_in.setdefault(part_of[path], path)
        leaks += [
            Leak(
                kind="exact duplicate",
                first=str(first_in[one]), first_part=one, second=str(first_in[other]), second_part=other,
            )
            for one, other in combinations(sorted(first_in, key=PARTS.index), 2)
        ]  # fmt: skip
    return leaks


def leaking_near_duplicates(pairs: Iterable[tuple[Path, Path]], part_of: Mapping[Path, Part]) -> list[Leak]:
    """One leak for each pair whose clips are in two parts."""
    return [
        Leak(
            kind="near-duplicate",
            first=str(first), first_part=part_of[first], second=str(second), second_part=part_of[second],
        )
        for first, second in pairs
        if first in part_of and second in part_of and part_of[first] != part_of[second]
    ]  # fmt: skip


def all_leaks(
    split: Split,
    exact: Iterable[tuple[Path, ...]],
    near: Iterable[tuple[Path, Path]],
    part_of: Mapping[Path, Part],
) -> list[Leak]:
    """The leaks of a split: groups, then sets of equal files, then pairs of near-duplicates."""
    return [
        *leaking_groups(split),
        *leaking_exact_duplicates(exact, part_of),
        *leaking_near_duplicates(near, part_of),
    ]


def describe(leaks: Sequence[Leak], split_name: str) -> str:
    """The first few leaks of a split, in one line."""
    more = f"; and {len(leaks) - _MAX_NAMED} more" if len(leaks) > _MAX_NAMED else ""
    named = "; ".join(str(leak) for leak in leaks[:_MAX_NAMED])
    return f"{split_name} leaks, so its figures would be too high: {named}{more}"
