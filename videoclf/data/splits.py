"""Divides clips into training, validation and test parts. Groups are never divided, validation is always taken from the
training side, and every class keeps clips to train on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data.clip_list import PARTS
from videoclf.data.dataset import Dataset, LabelledClip
from videoclf.data.manifest import Manifest, recognise
from videoclf.data.official import ClipName, OfficialSplit, read_official_split
from videoclf.data.split_allocation import Unit, choose_units
from videoclf.errors import DatasetInvalidError, UsageInvalidError
from videoclf.option_names import option

_TEST_SHARE = 0.25
_VALIDATION_SHARE = 0.2
_FAR_OFF = 0.15
"""From the share that a part should be: from here on it is said."""

SPLIT_HELP = "group:SEED, random:SEED, official:N, given, leave-out:GROUP,GROUP,... or none"


@dataclass(frozen=True, repr=False)
class Split:
    """Three disjoint sets of clips."""

    spec: str
    """The specification that produced it."""
    train: tuple[LabelledClip, ...]
    validation: tuple[LabelledClip, ...]
    test: tuple[LabelledClip, ...]
    """Empty if all clips are used for training and validation (``none``)."""
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """``Class/clip``: clips of the official lists that the dataset lacks."""

    def describe(self) -> str:
        """The sizes of the parts in one line."""
        num_groups = ""
        if any(clip.group is not None for clip in self.train):
            units = (
                {clip.group or str(clip.path) for clip in part} for part in (self.train, self.validation, self.test)
            )
            num_groups = f" (in {', '.join(str(len(names)) for names in units)} groups)"
        return (
            f"split {self.spec}: {len(self.train)} clips to train, {len(self.validation)} to validate, "
            f"{len(self.test)} to test{num_groups}"
        )

    def __repr__(self) -> str:
        return f"Split({self.spec}: {len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test)"


def make_split(
    dataset: Dataset, spec: str | None = None, *, split_files: str | Path | None = None, unknown: Collection[str] = ()
) -> Split:
    """Divide a dataset into training, validation and test parts.

    Args:
        dataset: the clips.
        spec: the test part: ``group:SEED``: about a quarter of the clips, by whole groups; ``random:SEED``: a quarter
            of the clips at random; ``official:N``: what the official lists say; ``given``: what the dataset says
            (folders ``train``, ``val``, ``test``, or a list's column ``split``); ``leave-out:g09,g10``: those groups;
            ``none``: nothing. Default: ``given`` if the dataset has parts, ``group:0`` if names contain groups,
            otherwise ``random:0``.
        split_files: the folder with the official lists, if they are not beside the clips.
        unknown: classes that are not learned: their clips are in the test part, or in none.

    Raises:
        UsageInvalidError: the spec is unknown.
        DatasetInvalidError: a group does not exist, a class has no training clips, ...
    """
    chosen = spec or default_spec(dataset)
    kind, _, value = chosen.partition(":")
    warnings: list[str] = []
    missing: list[str] = []
    given_validation: list[LabelledClip] = []
    if kind != "given" and dataset.has_parts:
        warnings.append(f"{option('split', chosen)}: replaces the parts that {dataset.source} assigns to its clips")
    if kind == "given" and not value:
        rest, given_validation, test = _take_given(dataset, chosen)
        warnings += _warn_of_given(dataset)
        seed = 0
    elif kind == "official":
        official = _read_official(dataset, _seed(value, chosen), split_files)
        rest, test, missing, more = _match_official(dataset, official)
        warnings += more
        seed = 0
    elif kind == "leave-out":
        rest, test = _leave_out(dataset, value)
        seed = 0
    elif kind == "none" and not value:
        rest, test, seed = list(dataset.clips), [], 0
    elif kind == "group":
        seed = _seed(value, chosen)
        if not _has_groups(dataset.clips):
            raise DatasetInvalidError(
                f"the names in {dataset.source} contain no groups (such as UCF101's _g01_)",
                source=option("split", chosen),
                hint=f"give {option('group_regex')}, a list with a group column, or {option('split', 'random:0')}",
            )
        rest, test = _cut(dataset.clips, _TEST_SHARE, seed, by_group=True, num_kept=2)
    elif kind == "random":
        seed = _seed(value, chosen)
        rest, test = _cut(dataset.clips, _TEST_SHARE, seed, by_group=False, num_kept=2)
        warnings.append(
            "a random split separates clips of one origin: figures on it are higher than on new videos; "
            "prefer groups where they are known"
        )
    else:
        raise UsageInvalidError("unknown", source=option("split", chosen), hint=f"use {SPLIT_HELP}")
    if given_validation:
        train, validation = rest, given_validation
        warnings += warn_of_lacking_classes(train, validation, test)
    else:
        if kind != "random":
            warnings += _warn_of_missing_groups(rest, dataset)
        train, validation = _cut_validation(rest, seed, by_group=kind != "random", unknown=unknown)
        is_chosen = kind in {"group", "random"}
        warnings += warn_of_shares(train, validation, test if is_chosen else (), f"{option('split', chosen)}")
        warnings += warn_of_lacking_classes(train, validation, test if is_chosen else None)
    _check_parts(
        train, validation, test, f"{option('split', chosen)}", needs_test=kind not in {"none", "given"}, unknown=unknown
    )
    return Split(chosen, tuple(train), tuple(validation), tuple(test), tuple(warnings), tuple(missing))


def default_spec(dataset: Dataset) -> str:
    """The default specification for a dataset.

    Raises:
        DatasetInvalidError: ``--group-regex`` finds only one group.
    """
    if dataset.has_parts:
        return "given"
    if _has_groups(dataset.clips):
        return "group:0"
    if dataset.group_regex is not None and dataset.groups:
        raise DatasetInvalidError(
            f"finds only one group in {dataset.source}, {dataset.groups[0]!r}",
            source=option("group_regex", dataset.group_regex),
            hint=f"at least two are needed: choose another expression, or {option('split', 'random:0')}",
        )
    return "random:0"


def leave_out(dataset: Dataset, test: Collection[LabelledClip], name: str, *, unknown: Collection[str] = ()) -> Split:
    """Divide a dataset so that these clips are the test part. Validation is taken from the others by whole groups.

    Args:
        dataset: the clips.
        test: the clips of the test part.
        name: name of the split, for records and messages.
        unknown: see `make_split`.

    Raises:
        DatasetInvalidError: a part would be empty, or a class would have no training clips.
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
        return [
            f"the names contain no groups: the validation clips are taken from the training clips at random{remedy}"
        ]
    num_without = sum(clip.group is None for clip in dataset.clips)
    if not num_without:
        return []
    return [f"{num_without} of {len(dataset.clips)} clips have no group: each of them counts as its own group"]


def warn_of_shares(
    train: Sequence[LabelledClip], validation: Sequence[LabelledClip], test: Sequence[LabelledClip], asked: str
) -> list[str]:
    """A line for each part whose share is far from the wanted one: groups stay whole, and may be few or large."""
    warnings = []
    num_rest = len(train) + len(validation)
    for part, wanted, num, num_all in (
        ("test", _TEST_SHARE, len(test), num_rest + len(test)),
        ("validation", _VALIDATION_SHARE, len(validation), num_rest),
    ):
        if num and abs(num / num_all - wanted) > _FAR_OFF:
            of = "all clips" if part == "test" else "the clips outside the test part"
            warnings.append(
                f"{asked}: {part} is {num / num_all:.0%} of {of}, not about {wanted:.0%}: no other choice is much "
                f"closer{'' if all(clip.group is None for clip in train) else ', because groups are never divided'}"
            )
    return warnings


def warn_of_lacking_classes(
    train: Sequence[LabelledClip], validation: Sequence[LabelledClip], test: Sequence[LabelledClip] | None
) -> list[str]:
    """A line for each part without clips of some classes; ``test`` is None if the user chose it."""
    known = {name for clip in (*train, *validation) for name in clip.names}
    warnings = []
    for part, clips in (("validation", validation), ("test", test)):
        lacking = sorted(known - {name for clip in clips or () for name in clip.names})
        if clips and lacking:
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            named = ", ".join(map(repr, lacking[:3]))
            warnings.append(f"{part} has no clips of {named}{more}: figures do not cover them; more groups would help")
    return warnings


def _how_to_group(clips: Sequence[LabelledClip], known: Manifest | None) -> str:
    """The end of a warning: the pattern of a public data set, where these are its names."""
    if known is None or not all(re.search(known.group_regex, clip.path.name) for clip in clips):
        return ""
    return f"; for names like {known.title}'s use {option('group_regex', known.group_regex)}"


def _seed(text: str, spec: str) -> int:
    try:
        seed = int(text or 0)
    except ValueError as error:
        raise UsageInvalidError(
            f"{text!r} is not a whole number", source=option("split", spec), hint=f"use {SPLIT_HELP}"
        ) from error
    if seed < 0:
        raise UsageInvalidError(f"{text!r} is below 0", source=option("split", spec), hint=f"use {SPLIT_HELP}")
    return seed


def _take_given(dataset: Dataset, spec: str) -> tuple[list[LabelledClip], list[LabelledClip], list[LabelledClip]]:
    """Clips to train, to validate and to test on by what the data say of each."""
    if not dataset.has_parts:
        raise DatasetInvalidError(
            f"{dataset.source} assigns no clip to a part",
            source=option("split", spec),
            hint="arrange clips as train/CLASS/clip.avi and test/CLASS/clip.avi, or add a column split to the list",
        )
    train, validation, test = ([clip for clip in dataset.clips if clip.part == part] for part in PARTS)
    if not train:
        raise DatasetInvalidError(
            f"{dataset.source} has no clips to train on",
            source=option("split", spec),
            hint="assign some to the part train",
        )
    return train, validation, test


def _warn_of_given(dataset: Dataset) -> list[str]:
    warnings = []
    if unsaid := [clip for clip in dataset.clips if clip.part is None]:
        warnings.append(
            f"{len(unsaid)} clips are not assigned to a part and are left out, the first is {unsaid[0].path}"
        )
    if all(clip.part != "test" for clip in dataset.clips):
        warnings.append(
            f"{dataset.source} has no test part: figures will be of validation clips, or of clips that were trained on"
        )
    return warnings


def _leave_out(dataset: Dataset, value: str) -> tuple[list[LabelledClip], list[LabelledClip]]:
    groups = {name.strip() for name in value.split(",") if name.strip()}
    unknown = groups - set(dataset.groups)
    if unknown or not groups:
        raise DatasetInvalidError(
            f"{', '.join(sorted(unknown)) or 'nothing named'}: no such group",
            source=option("split", f"leave-out:{value}"),
            hint=f"the groups of {dataset.source} are {', '.join(dataset.groups[:40]) or 'none'}",
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
        raise DatasetInvalidError(f"{dataset.source} contains no clip of the official lists in {official.source}")
    warnings = []
    missing = ["/".join(name) for name in (*official.train, *official.test) if name not in by_name]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        warnings.append(f"{len(missing)} clips of the official lists are missing: {', '.join(missing[:3])}{more}")
    listed = {*official.train, *official.test, *official.unused}
    unlisted = [clip for name, clips in by_name.items() if name not in listed for clip in clips]
    if unlisted:
        warnings.append(f"{len(unlisted)} clips are in neither list and are left out, the first is {unlisted[0].path}")
    return train, test, missing, warnings


def _cut(
    clips: Sequence[LabelledClip], share: float, seed: int, *, by_group: bool, num_kept: int = 1
) -> tuple[list[LabelledClip], list[LabelledClip]]:
    """Cut about a share of the clips off, in whole units, chosen by the seed; see `choose_units`.

    A unit is a group, or a clip that has none (or each clip, where groups do not matter). The share is of the clips
    whose class occurs in more than one unit: others cannot be cut.
    """

    def unit_of(clip: LabelledClip) -> str:
        return f"group {clip.group}" if by_group and clip.group is not None else f"clip {clip.path}"

    classes: dict[str, set[str]] = {}
    for clip in clips:
        classes.setdefault(unit_of(clip), set()).update(clip.names)
    num_clips_of = Counter(map(unit_of, clips))
    num_units_of = Counter(label for names in classes.values() for label in names)
    num_divisible = sum(any(num_units_of[name] > 1 for name in clip.names) for clip in clips)
    units = [Unit(name, num_clips_of[name], frozenset(classes[name])) for name in classes]
    taken = choose_units(units, share * num_divisible, num_divisible, seed, num_kept=num_kept)
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
        raise DatasetInvalidError(
            f"leaves {len(train)} clips to train, {len(validation)} to validate and {len(test)} to test",
            source=asked,
            hint="each part needs at least one: add clips or groups",
        )
    known_test = (clip for clip in test if clip.label not in unknown)
    only_test = {name for clip in known_test for name in clip.names} - {name for clip in train for name in clip.names}
    if only_test:
        raise DatasetInvalidError(
            f"class {sorted(only_test)[0]!r} has test clips but none to train on",
            source=asked,
            hint="choose another split",
        )
