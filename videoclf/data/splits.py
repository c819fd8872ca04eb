"""Which clips train, which choose (validation), which judge (test). Groups are never parted, validation is always cut
from the training side, and every class keeps clips to train on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.manifest import Manifest, recognise
from videoclf.data.official import ClipName, OfficialSplit, read_official_split
from videoclf.errors import DatasetInvalid, UsageInvalid

_TEST_SHARE = 0.25
_VALIDATION_SHARE = 0.2

SPLIT_HELP = "group:SEED, random:SEED, official:N, leave-out:GROUP,GROUP,... or none"


@dataclass(frozen=True, repr=False)
class Split:
    """Three disjoint sets of clips."""

    spec: str
    """What asked for it, for the record."""
    train: tuple[LabelledClip, ...]
    validation: tuple[LabelledClip, ...]
    test: tuple[LabelledClip, ...]
    """Empty where every clip was to be trained on (``none``)."""
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """``Class/clip``: what official lists name and the data lack."""

    def __repr__(self) -> str:
        return f"Split({self.spec}: {len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test)"


def make_split(
    dataset: Dataset, spec: str | None = None, *, split_files: str | Path | None = None, unknown: Collection[str] = ()
) -> Split:
    """Part a dataset.

    Args:
        dataset: the clips.
        spec: ``group:SEED`` puts about a quarter of the clips, by whole groups, into test; ``random:SEED`` a quarter
            of the clips at random; ``official:N`` what the official lists say; ``leave-out:g09,g10`` those groups;
            ``none`` nothing. Default: ``group:0`` where names carry groups, else ``random:0``.
        split_files: the folder with the official lists, where they do not lie beside the clips.
        unknown: classes of which nothing is learnt: their clips are in the test part, or in none.

    Raises:
        UsageInvalid: an unknown spec.
        DatasetInvalid: groups that do not exist, a class left without training clips, ...
    """
    chosen = spec or ("group:0" if _has_groups(dataset.clips) else "random:0")
    kind, _, value = chosen.partition(":")
    warnings: list[str] = []
    missing: list[str] = []
    if kind == "official":
        official = _read_official(dataset, _seed(value, chosen), split_files)
        rest, test, missing, warnings = _match_official(dataset, official)
        seed = 0
    elif kind == "leave-out":
        rest, test = _leave_out(dataset, value)
        seed = 0
    elif kind == "none" and not value:
        rest, test, seed = list(dataset.clips), [], 0
    elif kind == "group":
        seed = _seed(value, chosen)
        if not _has_groups(dataset.clips):
            raise DatasetInvalid(
                f"--split {chosen}: the names in {dataset.source} carry no groups (UCF101's _g01_); give "
                "--group-regex, a list with a group column, or --split random:0"
            )
        rest, test = _cut(dataset.clips, _TEST_SHARE, seed, by_group=True)
    elif kind == "random":
        seed = _seed(value, chosen)
        rest, test = _cut(dataset.clips, _TEST_SHARE, seed, by_group=False)
        warnings.append(
            "a random split parts clips of one origin: figures on it are higher than on new videos; "
            "prefer groups where they are known"
        )
    else:
        raise UsageInvalid(f"--split {chosen!r}: unknown; use {SPLIT_HELP}")
    if kind != "random":
        warnings += _warn_of_missing_groups(rest, dataset)
    train, validation = _cut_validation(rest, seed, by_group=kind != "random", unknown=unknown)
    _check_parts(train, validation, test, f"--split {chosen}", needs_test=kind != "none", unknown=unknown)
    return Split(chosen, tuple(train), tuple(validation), tuple(test), tuple(warnings), tuple(missing))


def leave_out(dataset: Dataset, test: Collection[LabelledClip], name: str, *, unknown: Collection[str] = ()) -> Split:
    """Part a dataset so that these clips are the test part; validation is cut from the others by whole groups.

    Args:
        dataset: the clips.
        test: some of them.
        name: of what comes out, for the record and for messages.
        unknown: see `make_split`.

    Raises:
        DatasetInvalid: a part would be empty, or a class left without training clips.
    """
    left_out = set(test)
    rest = [clip for clip in dataset.clips if clip not in left_out]
    train, validation = _cut_validation(rest, 0, by_group=True, unknown=unknown)
    _check_parts(train, validation, tuple(test), name, needs_test=True, unknown=unknown)
    return Split(name, tuple(train), tuple(validation), tuple(test), tuple(_warn_of_missing_groups(rest, dataset)))


def _cut_validation(
    rest: Sequence[LabelledClip], seed: int, *, by_group: bool, unknown: Collection[str]
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    known = [clip for clip in rest if clip.label not in unknown]
    return _cut(known, _VALIDATION_SHARE, seed, by_group=by_group)


def _has_groups(clips: Sequence[LabelledClip]) -> bool:
    return len({clip.group for clip in clips if clip.group is not None}) > 1


def _warn_of_missing_groups(rest: Sequence[LabelledClip], dataset: Dataset) -> list[str]:
    if not any(clip.group for clip in rest):
        remedy = _how_to_group(rest, recognise(dataset.labels))
        return [f"the names carry no groups: the validation clips are cut from the training clips at random{remedy}"]
    num_without = sum(clip.group is None for clip in dataset.clips)
    if not num_without:
        return []
    return [f"{num_without} of {len(dataset.clips)} clips carry no group: each of them counts as a group of its own"]


def _how_to_group(clips: Sequence[LabelledClip], known: Manifest | None) -> str:
    """The end of a warning: the pattern of a public data set, where these are its names."""
    if known is None or not all(re.search(known.group_pattern, clip.path.name) for clip in clips):
        return ""
    return f"; as {known.title}'s they do with --group-regex '{known.group_pattern}'"


def _seed(text: str, spec: str) -> int:
    try:
        seed = int(text or 0)
    except ValueError as error:
        raise UsageInvalid(f"--split {spec!r}: {text!r} is no whole number; use {SPLIT_HELP}") from error
    if seed < 0:
        raise UsageInvalid(f"--split {spec!r}: {text!r} is below 0; use {SPLIT_HELP}")
    return seed


def _leave_out(dataset: Dataset, value: str) -> tuple[list[LabelledClip], list[LabelledClip]]:
    groups = {name.strip() for name in value.split(",") if name.strip()}
    unknown = groups - set(dataset.groups)
    if unknown or not groups:
        raise DatasetInvalid(
            f"--split leave-out:{value}: {', '.join(sorted(unknown)) or 'nothing named'}: no such group; the groups of "
            f"{dataset.source} are {', '.join(dataset.groups[:40]) or 'none'}"
        )
    rest = [clip for clip in dataset.clips if clip.group not in groups]
    return rest, [clip for clip in dataset.clips if clip.group in groups]


def _read_official(dataset: Dataset, number: int, split_files: str | Path | None) -> OfficialSplit:
    root = Path(dataset.source)
    folder = root if root.is_dir() else root.parent
    return read_official_split(folder, number, Path(split_files) if split_files else None)


def _match_official(
    dataset: Dataset, official: OfficialSplit
) -> tuple[list[LabelledClip], list[LabelledClip], list[str], list[str]]:
    """Clips to train and to test on, names that the data lack, and warnings: figures are then not quite official."""
    by_name: dict[ClipName, list[LabelledClip]] = {}
    for clip in dataset.clips:
        by_name.setdefault((clip.label, clip.path.stem), []).append(clip)
    train = [clip for name in official.train for clip in by_name.get(name, [])]
    test = [clip for name in official.test for clip in by_name.get(name, [])]
    if not train or not test:
        raise DatasetInvalid(f"of the official lists in {official.source}, no clip is in {dataset.source}")
    warnings = []
    missing = ["/".join(name) for name in (*official.train, *official.test) if name not in by_name]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        warnings.append(f"{len(missing)} clips of the official lists are not there: {', '.join(missing[:3])}{more}")
    listed = {*official.train, *official.test, *official.unused}
    unlisted = [clip for name, clips in by_name.items() if name not in listed for clip in clips]
    if unlisted:
        warnings.append(f"{len(unlisted)} clips are in neither list and are left out, the first is {unlisted[0].path}")
    return train, test, missing, warnings


def _cut(
    clips: Sequence[LabelledClip], share: float, seed: int, *, by_group: bool
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Cut about a share of the clips off, in whole units, chosen by the seed.

    A unit is a group, or a clip that has none (or each clip, where groups do not matter). Units are taken until the
    share is reached and every class that can be is on the cut-off side; none is taken that would leave a class without
    clips on the other side. The share is of the clips whose class occurs in more than one unit: others cannot be cut.
    """

    def unit_of(clip: LabelledClip) -> str:
        return f"group {clip.group}" if by_group and clip.group is not None else f"clip {clip.path}"

    units: dict[str, Counter[str]] = {}
    for clip in clips:
        units.setdefault(unit_of(clip), Counter()).update(clip.names)
    num_clips_of = Counter(map(unit_of, clips))
    num_units_of = Counter(label for counts in units.values() for label in counts)
    wanted = share * sum(any(num_units_of[name] > 1 for name in clip.names) for clip in clips)
    left = Counter(name for clip in clips for name in clip.names)
    order = [str(name) for name in np.random.default_rng(seed).permutation(sorted(units))]
    taken: set[str] = set()
    covered: set[str] = set()
    num_taken = 0
    for is_covering in (True, False):  # first until every class is there, then until the share is
        for unit in order:
            counts = units[unit]
            is_wanted = counts.keys() - covered if is_covering else num_taken < wanted
            if unit in taken or not is_wanted or any(left[label] <= n for label, n in counts.items()):
                continue
            taken.add(unit)
            covered |= counts.keys()
            num_taken += num_clips_of[unit]
            left -= counts
    return [c for c in clips if unit_of(c) not in taken], [c for c in clips if unit_of(c) in taken]


def _check_parts(
    train: Sequence[LabelledClip],
    validation: Sequence[LabelledClip],
    test: Sequence[LabelledClip],
    asked: str,
    *,
    needs_test: bool,
    unknown: Collection[str],
) -> None:
    if not train or not validation or (needs_test and not test):
        raise DatasetInvalid(
            f"{asked}: leaves {len(train)} clips to train, {len(validation)} to validate and {len(test)} to "
            "test; each needs one at least: add clips or groups"
        )
    known_test = (clip for clip in test if clip.label not in unknown)
    only_test = {name for clip in known_test for name in clip.names} - {name for clip in train for name in clip.names}
    if only_test:
        raise DatasetInvalid(
            f"{asked}: class {sorted(only_test)[0]!r} has test clips but none to train on; choose another split"
        )
