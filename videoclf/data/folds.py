"""Cross-validation: every group, or every official list, is the test part once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from videoclf.data.clip_list import PARTS
from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.splits import Split, leave_out, make_split, warn_of_lacking_classes, warn_of_shares
from videoclf.errors import DatasetInvalidError, UsageInvalidError
from videoclf.option_names import option

FOLDS_HELP = "group, official or random"

_DEFAULT_RANDOM_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation."""

    name: str
    """The groups of its test part (for clips without a group, their paths), or the official list."""
    split: Split


def make_folds(
    dataset: Dataset,
    by: str = "group",
    *,
    num_folds: int | None = None,
    split_files: str | Path | None = None,
    has_several: bool = False,
    unknown: Collection[str] = (),
) -> list[Fold]:
    """Divide a dataset into folds.

    Args:
        dataset: the clips.
        by: ``group``: whole groups, each in the test part of one fold; ``official``: the official lists 1, 2 and 3;
            ``random``: clips at random, each class spread evenly, for datasets without known groups. (Known groups
            would then be on both sides: a leak.)
        num_folds: ``group``: number of folds, by default one per group. ``random``: by default 5.
        split_files: the folder with the official lists, if they are not beside the clips.
        has_several: whether a clip may have several labels (``walk|talk``), each a class by itself.
        unknown: classes that are not learned; see `make_split`.

    Raises:
        UsageInvalidError: ``by`` is unknown, or the number of folds is impossible.
        DatasetInvalidError: there are no groups or lists, or a fold leaves a class without training clips.
    """
    if by == "official":
        if num_folds is not None:
            raise UsageInvalidError(
                "the number of official lists is fixed", source=option("folds"), hint="omit the option"
            )
        specs = [f"official:{number}" for number in (1, 2, 3)]
        return [Fold(spec, make_split(dataset, spec, split_files=split_files, unknown=unknown)) for spec in specs]
    if by == "group":
        return [_fold(dataset, units, unknown) for units in _deal_groups(dataset, num_folds)]
    if by == "random":
        return _random_folds(dataset, num_folds, unknown, has_several=has_several)
    raise UsageInvalidError("unknown", source=option("by", by), hint=f"use {FOLDS_HELP}")


def describe_folds(folds: Sequence[Fold]) -> list[str]:
    """The sizes of the parts in one line. Further lines warn if shares of validation clips are far off, or if classes
    have
    none: each shows the first fold's warning and the number of folds with such a warning."""
    lines = [_sizes(folds)]
    for warn in (_warn_of_share, _warn_of_classes):
        warned = [warning for fold in folds for warning in warn(fold)]
        if warned:
            lines.append(warned[0] + (f" (in {len(warned)} of {len(folds)} folds)" if len(warned) > 1 else ""))
    return lines


def _warn_of_share(fold: Fold) -> list[str]:
    return warn_of_shares(fold.split.train, fold.split.validation, (), f"fold {fold.name[:40]}")


def _warn_of_classes(fold: Fold) -> list[str]:
    lacking = warn_of_lacking_classes(fold.split.train, fold.split.validation, None)
    return [f"fold {fold.name[:40]}: {warning}" for warning in lacking]


def _sizes(folds: Sequence[Fold]) -> str:

    def sizes(part: str) -> str:
        counts = [len(getattr(fold.split, part)) for fold in folds]
        return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"

    train, validation, test = map(sizes, PARTS)
    return f"{len(folds)} folds: {train} clips to train, {validation} to validate, {test} to test"


def _fold(dataset: Dataset, test: Mapping[str, Sequence[LabelledClip]], unknown: Collection[str]) -> Fold:
    """The fold that tests these groups, by name."""
    name = ",".join(test)
    clips = {clip for group in test.values() for clip in group}
    in_order = [clip for clip in dataset.clips if clip in clips]
    return Fold(name, leave_out(dataset, in_order, f"fold {name}", unknown=unknown))


def _deal_groups(dataset: Dataset, num_folds: int | None) -> list[dict[str, list[LabelledClip]]]:
    """The groups of each fold (a clip that has none is one by itself); the largest are dealt first, each to the fold
    that has the fewest clips."""
    if dataset.group_regex is not None and len(dataset.groups) == 1:
        raise DatasetInvalidError(
            f"finds only one group in {dataset.source}, {dataset.groups[0]!r}",
            source=option("group_regex", dataset.group_regex),
            hint=f"at least two are needed: choose another expression, or {option('by', 'random')}",
        )
    if len(dataset.groups) < 2:
        raise DatasetInvalidError(
            f"the names in {dataset.source} contain no groups (such as UCF101's _g01_)",
            source=option("by", "group"),
            hint=f"give {option('group_regex')}, a list with a group column, or {option('by', 'random')}",
        )
    groups: dict[str, list[LabelledClip]] = {}
    for clip in dataset.clips:
        groups.setdefault(str(clip.path) if clip.group is None else clip.group, []).append(clip)
    wanted = len(groups) if num_folds is None else num_folds
    if not 2 <= wanted <= len(groups):
        raise UsageInvalidError(
            f"{dataset.source} has {len(groups)} groups", source=option("folds", wanted), hint=f"use 2 to {len(groups)}"
        )
    folds: list[list[str]] = [[] for _ in range(wanted)]
    num_clips = [0] * wanted
    for group in sorted(groups, key=lambda name: (-len(groups[name]), name)):
        smallest = int(np.argmin(num_clips))
        folds[smallest].append(group)
        num_clips[smallest] += len(groups[group])
    return [{group: groups[group] for group in fold} for fold in sorted(map(sorted, folds))]


def _random_folds(
    dataset: Dataset, num_folds: int | None, unknown: Collection[str], *, has_several: bool
) -> list[Fold]:
    """Of the clips dealt out, one part is a fold's test part, another one validates, the others train."""
    wanted = _DEFAULT_RANDOM_FOLDS if num_folds is None else num_folds
    known = [clip for clip in dataset.clips if clip.label not in unknown]
    sizes = Counter(name for clip in known for name in (clip.names if has_several else (clip.label,)))
    rarest, num_clips = min(sizes.items(), key=lambda item: item[1])
    if not 3 <= wanted <= num_clips:
        default = " (the default)" if num_folds is None else ""
        remedy = f"use 3 to {num_clips}" if num_clips >= 3 else "at least three are needed: add clips"
        raise UsageInvalidError(
            f"the rarest class of {dataset.source}, {rarest!r}, has {num_clips} clips",
            source=f"{option('folds', wanted)}{default}",
            hint=f"{remedy}",
        )
    rng = np.random.default_rng(0)
    part_of: dict[LabelledClip, int] = {}
    num_dealt = 0
    for label in dataset.labels:
        clips = [clip for clip in dataset.clips if clip.label == label]
        for i in rng.permutation(len(clips)):
            part_of[clips[i]] = num_dealt % wanted
            num_dealt += 1
    # to be parted, the parts are groups: each is left out whole
    original = {replace(clip, group=f"part {part_of[clip] + 1}"): clip for clip in dataset.clips}
    parted = replace(dataset, clips=tuple(original))
    folds = []
    for number in range(1, wanted + 1):
        name = f"part {number}"
        fold = _fold(parted, {name: [clip for clip in parted.clips if clip.group == name]}, unknown)
        folds.append(replace(fold, split=_with_groups_of(original, fold.split)))
    return folds


def _with_groups_of(original: Mapping[LabelledClip, LabelledClip], split: Split) -> Split:
    train, validation, test = (tuple(map(original.__getitem__, p)) for p in (split.train, split.validation, split.test))
    return replace(split, train=train, validation=validation, test=test)
