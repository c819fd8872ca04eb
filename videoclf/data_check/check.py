"""Validates a dataset: files, outliers, classes, duplicates, and leaks of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data.clip_list import Part
from videoclf.data.dataset import LabelledClip, load_dataset
from videoclf.data.splits import Split, make_split
from videoclf.data_check import leaks
from videoclf.data_check.exact_duplicates import find_exact_duplicates
from videoclf.data_check.findings import (
    CheckedClip,
    CheckReport,
    ExactDuplicates,
    NearDuplicatePair,
    RepairedClip,
    SplitCounts,
    UnusableClip,
)
from videoclf.data_check.leak_search import find_among_scanned, paths_of_pairs
from videoclf.data_check.near_duplicates import NearDuplicate
from videoclf.data_check.outliers import count_classes, describe_balance, find_outliers
from videoclf.data_check.scan import ScannedClip, scan
from videoclf.errors import printable
from videoclf.first_keywords import accepts_first_keywords
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.progress import ProgressLike, as_progress


@dataclass(frozen=True, repr=False)
class Check:
    """The result of a check."""

    report: CheckReport
    thumbnails: dict[str, bytes]
    """JPEGs by path, of the clips that give frames."""

    def __repr__(self) -> str:
        return f"Check({self.report.source}: {self.report.num_usable} of {self.report.num_clips} clips usable)"


@accepts_first_keywords(group_pattern="group_regex", num_threads="workers")
def check(
    data: str | Path,
    *,
    split: str | None = None,
    split_files: str | Path | None = None,
    group_regex: str | None = None,
    finds_near_duplicates: bool = True,
    workers: int = DEFAULT_NUM_THREADS,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    progress: ProgressLike = None,
) -> Check:
    """Validate a dataset before training. Every file is decoded to its end.

    Args:
        data: a folder ``CLASS/clip.avi`` or a list of ``path,label``; see `videoclf.data.dataset.load_dataset`.
        split: also check this split for leaks; see `videoclf.data.splits.make_split`. By default, the split that the
            dataset itself contains, if any.
        split_files: folder of the official lists, if they are not beside the clips.
        group_regex: regular expression that finds groups in file names.
        finds_near_duplicates: whether to search for copies that were re-encoded, scaled, cut or mirrored. Many files
            are then read twice.
        workers: number of videos decoded at the same time.
        reading: the decoder and its options.
        progress: receives the progress.

    Raises:
        DatasetInvalidError: no such dataset, no clips, or a split that cannot be made.
        UsageInvalidError: an unknown split.
    """
    watcher = as_progress(progress)
    dataset = load_dataset(data, group_regex=group_regex)
    has_own_split = any(clip.part == "train" for clip in dataset.clips)
    parts = make_split(dataset, split, split_files=split_files) if split or has_own_split else None
    part_of = leaks.parts_of(parts) if parts else {}
    watcher.stage("clips", len(dataset.clips))
    scanned = scan(
        dataset.clips,
        num_threads=workers,
        with_fingerprints=finds_near_duplicates,
        reading=reading,
        on_clip=lambda _clip: watcher.advance(),
    )
    exact = find_exact_duplicates([clip.path for clip in dataset.clips])
    near = find_among_scanned(scanned, exact, workers, reading, watcher) if finds_near_duplicates else []
    found_leaks = leaks.all_leaks(parts, exact, paths_of_pairs(scanned, near), part_of) if parts else []
    classes = count_classes(scanned, lambda each: part_of.get(each.clip.path))
    num_usable = sum(each.is_usable for each in scanned)
    report = CheckReport(
        source=dataset.source,
        is_clean=num_usable == len(scanned) and not found_leaks,
        num_clips=len(scanned),
        num_usable=num_usable,
        duration_seconds=round(sum(each.duration_seconds for each in classes), 3),
        split=_count(parts) if parts else None,
        has_near_duplicates_checked=finds_near_duplicates,
        clips=tuple(_describe(each, part_of.get(each.clip.path)) for each in scanned),
        unusable=tuple(
            UnusableClip(path=str(each.clip.path), type=each.failure.type_name, message=str(each.failure))
            for each in scanned
            if each.failure is not None
        ),
        repaired=tuple(
            RepairedClip(path=str(each.clip.path), warnings=each.warnings)
            for each in scanned
            if each.is_usable and each.warnings
        ),
        odd=tuple(find_outliers(scanned)),
        classes=tuple(classes),
        exact_duplicates=tuple(_describe_exact(paths, dataset.clips) for paths in exact),
        near_duplicates=tuple(_describe_near(pair, dataset.clips) for pair in near),
        leaks=tuple(found_leaks),
        notes=(
            *dataset.warnings,
            *_describe_names(dataset.labels),
            *(parts.warnings if parts else ()),
            *describe_balance(classes),
        ),
    )
    return Check(report, {str(each.clip.path): each.thumbnail for each in scanned if each.thumbnail})


def _describe_names(labels: Sequence[str]) -> list[str]:
    """A note if a model file could not contain the names of the classes."""
    strange = [label for label in labels if printable(label) != label]
    if not strange:
        return []
    named = ", ".join(map(ascii, strange[:3]))
    return [f"class names with characters that cannot be printed, which train refuses: {named}; rename them"]


def _count(split: Split) -> SplitCounts:
    return SplitCounts(
        spec=split.spec, num_train=len(split.train), num_validation=len(split.validation), num_test=len(split.test)
    )


def _describe(each: ScannedClip, part: Part | None) -> CheckedClip:
    info = each.info
    return CheckedClip(
        path=str(each.clip.path),
        label=each.clip.label,
        group=each.clip.group,
        part=part,
        size_bytes=each.size_bytes,
        codec=info.codec if info else None,
        width=info.width if info else None,
        height=info.height if info else None,
        fps=round(info.average_fps, 3) if info else None,
        duration_seconds=round(info.duration_seconds, 3) if info else None,
    )


def _describe_exact(paths: tuple[Path, ...], clips: Sequence[LabelledClip]) -> ExactDuplicates:
    label_of = {clip.path: clip.label for clip in clips}
    return ExactDuplicates(paths=tuple(map(str, paths)), labels=tuple(sorted({label_of[path] for path in paths})))


def _describe_near(pair: NearDuplicate, clips: Sequence[LabelledClip]) -> NearDuplicatePair:
    first, second = clips[pair.first], clips[pair.second]
    return NearDuplicatePair(
        first=str(first.path),
        second=str(second.path),
        labels=tuple(sorted({first.label, second.label})),
        is_mirrored=pair.is_mirrored,
        offset_seconds=round(pair.similarity.offset_seconds, 3),
        shared_seconds=round(pair.similarity.shared_seconds, 3),
        difference=round(pair.similarity.difference, 3),
    )
