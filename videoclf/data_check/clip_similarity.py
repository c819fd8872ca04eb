"""Whether two clips show the same: their small frames laid over each other, what stands still and what moves apart.

Two clips of one camera share the still picture; two people who do the same share the movement, roughly. Copies share
both, everywhere. So what decides is the *worst place*: where the still pictures differ most, and where the movements
(frames less the still picture of the part that both show) differ most, compared with how strong the movement is. Means
over the picture (correlation, root mean square) were tried and lost: between different people who walk alike they are
better than between a clip and its copy of low quality. docs/checking.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from videoclf.data_check.motion_fingerprint import SMALL_FPS, Float32Array, IntArray, SmallFrames

MIN_SHARED_PART = 0.6
"""Of the shorter clip: copies that share less are not looked for."""

_MAX_MOMENTS = 40
"""Looked at in a pair: more change nothing."""
_JITTER_MOMENTS = 2
"""A frame may be found so much sooner or later: copies at another rate show it up to a frame's time late."""
_FINE_OFFSETS = (-4, -2, 0, 2, 4)
"""The search for candidates knows the offset to a moment of its own, 4 of ours."""
_STILL_FRAMES = 21
"""A median of more changes nothing and costs time."""

_MIN_PICTURE_LIKENESS = 0.85
_MAX_PICTURE_LEVELS = 20.0
"""The still pictures' worst place, in grey levels (of 255): copies of low quality have up to 13, those at other rates
up to 20 where something moves to and fro; different people who stand and wave 18 and more."""
_MAX_DIFFERENCE = 0.29
"""The movement's worst place over its strength; Weizmann's most alike (two who run, denis and ira) have 0.31."""
_SOFTENING_LEVELS = 20.0
"""Added to the strength: what moves little is drowned in a codec's noise."""

_STATIC_LEVELS = 12.0
"""Movement below is none to speak of: then the picture must agree strictly."""
_STATIC_PICTURE_LIKENESS = 0.97
_STATIC_PICTURE_LEVELS = 8.0
_FLAT_LEVELS = 2.0
"""A still picture of less contrast (standard deviation) is blank: it is like any other."""


@dataclass(frozen=True)
class Comparison:
    """How two clips differ where they differ most, over the time that both show."""

    offset_seconds: float
    """When in the second clip the first one begins; negative where it begins before it."""
    shared_seconds: float
    difference: float
    """Of the movement: 0 same, about 1 nothing in common; infinite where the still pictures differ too much to look."""
    movement_levels: float
    """How strong the movement is, in grey levels."""
    picture_likeness: float
    """Correlation of the still pictures' detail."""
    picture_levels: float
    """The still pictures' worst place, in grey levels."""

    @property
    def is_static(self) -> bool:
        """Whether next to nothing moves in either."""
        return self.movement_levels < _STATIC_LEVELS

    @property
    def is_copy(self) -> bool:
        """Whether the two show the same."""
        if self.is_static:
            return (
                self.picture_likeness > _STATIC_PICTURE_LIKENESS
                and self.picture_levels < _STATIC_PICTURE_LEVELS
                and self.difference < _MAX_DIFFERENCE
            )
        return (
            self.picture_likeness > _MIN_PICTURE_LIKENESS
            and self.picture_levels < _MAX_PICTURE_LEVELS
            and self.difference < _MAX_DIFFERENCE
        )


def compare(a: SmallFrames, b: SmallFrames, near_offsets: Sequence[int] = ()) -> Comparison | None:
    """Lay two clips over each other.

    Args:
        a: one clip.
        b: the other.
        near_offsets: about which moment of ``b`` shows what ``a`` begins with, at `SMALL_FPS`; without any, every
            offset is tried.

    Returns:
        The comparison at the offset that fits best; None where the clips are blank, or too little of them overlaps.
    """
    min_shared = max(2, int(np.ceil(MIN_SHARED_PART * min(len(a), len(b)))))
    possible = range(min_shared - len(a), len(b) - min_shared + 1)
    tried = [near + fine for near in near_offsets for fine in _FINE_OFFSETS] or possible[:: 1 + len(possible) // 64]
    fits = [(_misfit(a, b, offset), offset) for offset in {*tried} & {*possible}]
    if not fits or max(a.pictures[0].std(), b.pictures[0].std()) < _FLAT_LEVELS:
        return None
    best = min(fits)[1]
    offset = min((_misfit(a, b, offset), offset) for offset in {best - 1, best, best + 1} & {*possible})[1]
    if a.is_new.sum() <= b.is_new.sum():  # every frame of the one with fewer has its like in the other, not vice versa
        return _compare_at(a, b, offset, offset)
    return _compare_at(b, a, -offset, offset)


def _shared(a: SmallFrames, b: SmallFrames, offset: int) -> tuple[int, int]:
    """The moments of ``a`` between which ``b`` shows something too."""
    return max(0, -offset), min(len(a), len(b) - offset)


def _misfit(a: SmallFrames, b: SmallFrames, offset: int) -> float:
    """Mean square of the movements' difference over that of the movements, on a few moments; 0 is best."""
    start, end = _shared(a, b, offset)
    step = max(1, (end - start) // 16)
    first = a.blurred[start:end:step, ::2, ::2]
    second = b.blurred[start + offset : end + offset : step, ::2, ::2]
    first, second = first - first.mean(0), second - second.mean(0)
    energy = float((first**2).sum() + (second**2).sum())
    return float(((first - second) ** 2).sum()) / max(energy, 1e-6)


def _compare_at(a: SmallFrames, b: SmallFrames, offset: int, told_offset: int) -> Comparison:
    start, end = _shared(a, b, offset)
    still_a, still_b = _still(a.blurred[start:end]), _still(b.blurred[start + offset : end + offset])
    likeness, levels = _compare_stills(still_a, still_b)
    if likeness < _MIN_PICTURE_LIKENESS or levels > _MAX_PICTURE_LEVELS:
        return Comparison(told_offset / SMALL_FPS, (end - start) / SMALL_FPS, math.inf, math.inf, likeness, levels)
    moments = np.flatnonzero(a.is_new[start:end]) if a.is_new[start:end].any() else np.array([0])
    moments = moments[np.linspace(0, len(moments) - 1, min(len(moments), _MAX_MOMENTS)).astype(int)]
    movement_a = (a.blurred[start + moments] - still_a).reshape(len(moments), -1)
    movement_b = (b.blurred[start + offset : end + offset] - still_b).reshape(end - start, -1)
    movement_b = movement_b[_closest(movement_a, movement_b, moments)]
    worst = np.abs(movement_a - movement_b).max(1)
    strength = np.maximum(np.abs(movement_a).max(1), np.abs(movement_b).max(1))
    # the upper quartile: a clip in which something moves only now and then is judged by then
    worst_levels, strength_levels = float(np.percentile(worst, 75)), float(np.percentile(strength, 75))
    return Comparison(
        offset_seconds=told_offset / SMALL_FPS,
        shared_seconds=(end - start) / SMALL_FPS,
        difference=worst_levels / (strength_levels + _SOFTENING_LEVELS),
        movement_levels=strength_levels,
        picture_likeness=likeness,
        picture_levels=levels,
    )


def _still(blurred: Float32Array) -> Float32Array:
    chosen = blurred[np.linspace(0, len(blurred) - 1, min(len(blurred), _STILL_FRAMES)).astype(int)]
    return np.asarray(np.median(chosen, axis=0), dtype=np.float32)


def _closest(movement_a: Float32Array, movement_b: Float32Array, moments: IntArray) -> IntArray:
    """For each of ``a``'s moments the one of ``b`` around it that fits best."""
    distances = (movement_b**2).sum(1)[None] - 2 * movement_a @ movement_b.T
    is_around = np.abs(np.arange(len(movement_b))[None] - moments[:, None]) <= _JITTER_MOMENTS
    return np.asarray(np.where(is_around, distances, np.inf).argmin(1))


def _compare_stills(still_a: Float32Array, still_b: Float32Array) -> tuple[float, float]:
    """Correlation of their detail, and their worst place in grey levels after evening out brightness and contrast."""
    detail_a, detail_b = _detail(still_a), _detail(still_b)
    norm = float(np.sqrt((detail_a**2).sum() * (detail_b**2).sum()))
    likeness = float((detail_a * detail_b).sum()) / norm if norm > 1e-6 else 0.0
    centred_a, centred_b = still_a - still_a.mean(), still_b - still_b.mean()
    gain = float((centred_a * centred_b).sum()) / max(float((centred_b**2).sum()), 1e-6)
    difference = cv2.GaussianBlur(centred_a - gain * centred_b, (0, 0), 0.8)
    difference = difference - cv2.GaussianBlur(difference, (0, 0), 6.0)  # vignettes and exposure are no content
    return likeness, float(np.abs(difference[2:-2, 2:-2]).max())  # at the rim, scalers differ


def _detail(still: Float32Array) -> Float32Array:
    return np.asarray(still - cv2.GaussianBlur(still, (0, 0), 3.0), dtype=np.float32)
