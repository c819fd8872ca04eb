"""Cross-validation: every group, or every official list, is the test part once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.splits import Split, make_split
from videoclf.errors import DatasetInvalid, UsageInvalid

FOLDS_HELP = "group, official or random"

_DEFAULT_RANDOM_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """One round of a cross-validation."""

    name: str
    """The groups that are its test part, or the official list."""
    split: Split


def make_folds(
    dataset: Dataset,
    by: str = "group",
    *,
    num_folds: int | None = None,
    split_files: str | Path | None = None,
    unknown: Collection[str] = (),
) -> list[Fold]:
    """Part a dataset several times.

    Args:
        dataset: the clips.
        by: ``group``: whole groups, each in the test part of one fold; ``official``: the official lists 1, 2 and 3;
            ``random``: clips at random, each class spread evenly, where nothing tells what belongs together. (Where
            groups are known, they then stand on both sides: a leak.)
        num_folds: ``group``: how many; by default one a group. ``random``: by default 5.
        split_files: the folder with the official lists, where they do not lie beside the clips.
        unknown: classes of which nothing is learnt; see `make_split`.

    Raises:
        UsageInvalid: an unknown way, or a number of folds that cannot be.
        DatasetInvalid: no groups, no lists, or a fold that leaves a class without training clips.
    """
    if by == "official":
        if num_folds is not None:
            raise UsageInvalid("--folds: the official lists are as many as they are; leave it out")
        specs = [f"official:{number}" for number in (1, 2, 3)]
        return [Fold(spec, make_split(dataset, spec, split_files=split_files, unknown=unknown)) for spec in specs]
    if by == "group":
        return [_leave_out(dataset, groups, unknown) for groups in _deal_groups(dataset, num_folds)]
    if by == "random":
        return _random_folds(dataset, num_folds, unknown)
    raise UsageInvalid(f"--by {by!r}: unknown; use {FOLDS_HELP}")


def _leave_out(dataset: Dataset, groups: Sequence[str], unknown: Collection[str]) -> Fold:
    names = ",".join(groups)
    return Fold(names, make_split(dataset, f"leave-out:{names}", unknown=unknown))


def _deal_groups(dataset: Dataset, num_folds: int | None) -> list[list[str]]:
    """The groups of each fold; the largest groups are dealt first, each to the fold that has the fewest clips."""
    sizes = Counter(clip.group for clip in dataset.clips if clip.group is not None)
    if len(sizes) < 2:
        raise DatasetInvalid(
            f"--by group: the names in {dataset.source} carry no groups (UCF101's _g01_); give --group-regex, a list "
            "with a group column, or --by random"
        )
    wanted = len(sizes) if num_folds is None else num_folds
    if not 2 <= wanted <= len(sizes):
        raise UsageInvalid(f"--folds {wanted}: {dataset.source} has {len(sizes)} groups; use 2 to {len(sizes)}")
    folds: list[list[str]] = [[] for _ in range(wanted)]
    num_clips = [0] * wanted
    for group in sorted(sizes, key=lambda name: (-sizes[name], name)):
        smallest = int(np.argmin(num_clips))
        folds[smallest].append(group)
        num_clips[smallest] += sizes[group]
    return sorted(sorted(groups) for groups in folds)


def _random_folds(dataset: Dataset, num_folds: int | None, unknown: Collection[str]) -> list[Fold]:
    """Of the clips dealt out, one part is a fold's test part, another one validates, the others train."""
    wanted = _DEFAULT_RANDOM_FOLDS if num_folds is None else num_folds
    sizes = Counter(clip.label for clip in dataset.clips if clip.label not in unknown)
    rarest, num_clips = min(sizes.items(), key=lambda item: item[1])
    if not 3 <= wanted <= num_clips:
        default = " (the default)" if num_folds is None else ""
        remedy = f"use 3 to {num_clips}" if num_clips >= 3 else "three at least are needed: add clips"
        raise UsageInvalid(
            f"--folds {wanted}{default}: the rarest class of {dataset.source}, {rarest!r}, has {num_clips} clips; "
            f"{remedy}"
        )
    rng = np.random.default_rng(0)
    fold_of: dict[LabelledClip, int] = {}
    num_dealt = 0
    for label in dataset.labels:
        clips = [clip for clip in dataset.clips if clip.label == label]
        for i in rng.permutation(len(clips)):
            fold_of[clips[i]] = num_dealt % wanted
            num_dealt += 1
    # to be parted, the parts are groups: each is left out whole
    original = {replace(clip, group=f"part {fold_of[clip] + 1}"): clip for clip in dataset.clips}
    folds = [_leave_out(replace(dataset, clips=tuple(original)), [f"part {n + 1}"], unknown) for n in range(wanted)]
    return [replace(fold, split=_with_groups_of(original, fold.split)) for fold in folds]


def _with_groups_of(original: Mapping[LabelledClip, LabelledClip], split: Split) -> Split:
    train, validation, test = (tuple(map(original.__getitem__, p)) for p in (split.train, split.validation, split.test))
    return replace(split, train=train, validation=validation, test=test)
