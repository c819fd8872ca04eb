"""Finds clips that differ from the others, and classes of very different sizes."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from videoclf.data.clip_list import Part
from videoclf.data_check.findings import ClassCount, OddClip, OddKind
from videoclf.data_check.scan import ScannedClip
from videoclf.errors import counted
from videoclf.media.frames import VideoInfo

_USUAL_SHARE = 0.8
"""A value that this share of the clips has in common is usual, and clips with another one are outliers."""
_LENGTH_FACTOR = 5.0
"""A clip that is longer or shorter than the median by more than this factor is an outlier."""
_FEW_FRAMES = 8
_QUIET_LEVELS = 2.5
"""If every place of the frame changes by less (in grey levels, over 0.27 s, blurred), nothing moves."""
_BLANK_LEVELS = 2.0
"""Standard deviation of the grey levels, below which a frame is of one colour."""
_FEW_CLIPS = 5
_IMBALANCE = 5.0
"""Of the largest class to the smallest: a larger factor is reported."""


def find_outliers(scanned: Sequence[ScannedClip]) -> list[OddClip]:
    """Clips that differ from the others, or that hardly are videos, with the reason. A clip may have several."""
    known = [(each, each.info) for each in scanned if each.is_usable and each.info is not None]
    if not known:
        return []
    usual_fps = _usual([_rounded_fps(info) for _, info in known])
    usual_size = _usual([(info.width, info.height) for _, info in known])
    median_seconds = statistics.median(info.duration_seconds for _, info in known)
    return [
        OddClip(path=str(each.clip.path), kind=kind, message=message)
        for each, info in known
        for kind, message in (
            *_rate_outliers(info, usual_fps),
            *_size_outliers(info, usual_size),
            *_length_outliers(info, median_seconds),
            *_picture_outliers(each),
        )
    ]


def _usual(values: Sequence[object]) -> object | None:
    value, count = Counter(values).most_common(1)[0]
    return value if count >= _USUAL_SHARE * len(values) else None


def _rounded_fps(info: VideoInfo) -> float:
    return round(info.average_fps, 1)


def _rate_outliers(info: VideoInfo, usual_fps: object | None) -> Iterator[tuple[OddKind, str]]:
    if info.has_variable_fps:
        yield "varying frame rate", f"frames are unevenly spaced, {info.average_fps:.2f} a second on average"
    if usual_fps is not None and _rounded_fps(info) != usual_fps:
        yield "frame rate", f"{info.average_fps:.2f} frames a second; most have {usual_fps}"


def _size_outliers(info: VideoInfo, usual_size: object | None) -> Iterator[tuple[OddKind, str]]:
    if isinstance(usual_size, tuple) and (info.width, info.height) != usual_size:
        yield "size", f"{info.width}×{info.height}; most are {usual_size[0]}×{usual_size[1]}"


def _length_outliers(info: VideoInfo, median_seconds: float) -> Iterator[tuple[OddKind, str]]:
    num_frames = round(info.duration_seconds * info.average_fps)
    if num_frames < _FEW_FRAMES:
        yield "few frames", f"only {counted(num_frames, 'frame')} ({info.duration_seconds:.2f} s)"
    elif not median_seconds / _LENGTH_FACTOR <= info.duration_seconds <= median_seconds * _LENGTH_FACTOR:
        yield "length", f"{info.duration_seconds:.1f} s; the median is {median_seconds:.1f} s"


def _picture_outliers(scanned: ScannedClip) -> Iterator[tuple[OddKind, str]]:
    fingerprint = scanned.fingerprint
    if fingerprint is None:
        return
    if fingerprint.picture.std() < _BLANK_LEVELS:
        yield "blank", "the frame is of one colour"
    elif len(fingerprint.change) and np.abs(fingerprint.change).max() < _QUIET_LEVELS:
        yield "nothing moves", "the frame hardly changes from beginning to end"


def count_classes(scanned: Sequence[ScannedClip], part_of: Callable[[ScannedClip], Part | None]) -> list[ClassCount]:
    """The amount of data of each class, sorted by name."""
    by_label: dict[str, list[ScannedClip]] = {}
    for each in scanned:
        by_label.setdefault(each.clip.label, []).append(each)
    counts = []
    for label, clips in sorted(by_label.items()):
        parts = Counter(part_of(each) for each in clips)
        usable = [each.info for each in clips if each.is_usable and each.info is not None]
        counts.append(
            ClassCount(
                label=label,
                num_clips=len(clips),
                num_usable=len(usable),
                num_train=parts["train"],
                num_validation=parts["validation"],
                num_test=parts["test"],
                duration_seconds=round(sum(info.duration_seconds for info in usable), 3),
            )
        )
    return counts


def describe_balance(classes: Sequence[ClassCount]) -> list[str]:
    """Notes on classes that are too small, too few, or of very different sizes."""
    notes = []
    if len(classes) == 1:
        notes.append(f"there is only one class, {classes[0].label!r}, so nothing can be learned; add another")
    least, most = (pick(classes, key=lambda each: each.num_usable) for pick in (min, max))
    if len(classes) > 1 and most.num_usable > _IMBALANCE * least.num_usable:
        notes.append(
            f"classes are imbalanced: {most.num_usable} usable clips of {most.label!r}, "
            f"{least.num_usable} of {least.label!r}"
        )
    few = [each.label for each in classes if each.num_usable < _FEW_CLIPS]
    if few:
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        notes.append(
            f"{'a class has' if len(few) == 1 else f'{len(few)} classes have'} fewer than {_FEW_CLIPS} usable clips: "
            f"{', '.join(map(repr, few[:5]))}{more}"
        )
    return notes
