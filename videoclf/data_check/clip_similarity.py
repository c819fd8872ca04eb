"""Compares two clips by their small frames: the static background and the motion separately.

Two clips of one camera share the background; two people who do the same share the motion, roughly. Copies share both,
everywhere. Therefore the *worst place* decides: where the backgrounds differ most, and where the motions (frames minus
the background of the part that both show) differ most in relation to the strength of the motion. Means over the frame
(correlation, root mean square) were tried and rejected: they are better for different people who walk alike than for a
clip and its low-quality copy. docs/checking.md has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from videoclf.data_check.motion_fingerprint import SMALL_FPS, Float32Array, IntArray, SmallFrames

MIN_SHARED_PART = 0.6
"""Of the shorter clip: copies that share less are not searched for."""

_MAX_SAMPLES = 40
"""Compared samples of a pair: more of them change nothing."""
_JITTER_SAMPLES = 2
"""A frame may appear this much earlier or later: copies at another rate show it up to one frame late."""
_FINE_OFFSETS = (-4, -2, 0, 2, 4)
"""The candidate search gives offsets with a precision of one of its own samples, 4 of these."""
_STILL_FRAMES = 21
"""A median over more frames changes nothing and takes longer."""

_MIN_PICTURE_SIMILARITY = 0.85
_MAX_PICTURE_LEVELS = 20.0
"""The backgrounds' worst place, in grey levels (of 255): up to 13 for low-quality copies, up to 20 for copies at other
rates in which something moves to and fro; 18 and more for different people who stand and wave."""
_MAX_DIFFERENCE = 0.29
"""The motion's worst place over its strength. Weizmann's most similar pair (two runners, denis and ira) has 0.31."""
_SOFTENING_LEVELS = 20.0
"""Added to the strength: weak motion is hidden by a codec's noise."""

_STATIC_LEVELS = 12.0
"""Weaker motion counts as none: the backgrounds must then agree closely."""
_STATIC_PICTURE_SIMILARITY = 0.97
_STATIC_PICTURE_LEVELS = 8.0
_FLAT_LEVELS = 2.0
"""A background with less contrast (standard deviation) is blank, and would match any other."""


@dataclass(frozen=True)
class ClipSimilarity:
    """How much two clips differ at their worst place, over the time that both show."""

    offset_seconds: float
    """The time in the second clip at which the first one begins; negative if the first one begins earlier."""
    shared_seconds: float
    difference: float
    """Of the motion: 0 is identical, about 1 unrelated; infinite if the backgrounds differ too much."""
    motion_levels: float
    """The strength of the motion, in grey levels."""
    picture_similarity: float
    """Correlation of the backgrounds' detail."""
    picture_levels: float
    """The backgrounds' worst place, in grey levels."""

    @property
    def is_static(self) -> bool:
        """Whether almost nothing moves in either clip."""
        return self.motion_levels < _STATIC_LEVELS

    @property
    def is_copy(self) -> bool:
        """Whether the two clips show the same."""
        if self.is_static:
            return (
                self.picture_similarity > _STATIC_PICTURE_SIMILARITY
                and self.picture_levels < _STATIC_PICTURE_LEVELS
                and self.difference < _MAX_DIFFERENCE
            )
        return (
            self.picture_similarity > _MIN_PICTURE_SIMILARITY
            and self.picture_levels < _MAX_PICTURE_LEVELS
            and self.difference < _MAX_DIFFERENCE
        )


def compare_clips(a: SmallFrames, b: SmallFrames, near_offsets: Sequence[int] = ()) -> ClipSimilarity | None:
    """Compare two clips at the offset that fits best.

    Args:
        a: one clip.
        b: the other.
        near_offsets: about which samples of ``b``, at `SMALL_FPS`, show what ``a`` begins with; without any, every
            offset is tried.

    Returns:
        The similarity; None if the clips are blank, or if too little of them overlaps.
    """
    min_shared = max(2, int(np.ceil(MIN_SHARED_PART * min(len(a), len(b)))))
    possible = range(min_shared - len(a), len(b) - min_shared + 1)
    tried = [near + fine for near in near_offsets for fine in _FINE_OFFSETS] or possible[:: 1 + len(possible) // 64]
    fits = [(_misfit(a, b, offset), offset) for offset in {*tried} & {*possible}]
    if not fits or max(a.pictures[0].std(), b.pictures[0].std()) < _FLAT_LEVELS:
        return None
    best = min(fits)[1]
    offset = min((_misfit(a, b, offset), offset) for offset in {best - 1, best, best + 1} & {*possible})[1]
    if a.is_new.sum() <= b.is_new.sum():  # each frame of the clip with fewer has a match in the other, not vice versa
        return _compare_at(a, b, offset, offset)
    return _compare_at(b, a, -offset, offset)


def _shared(a: SmallFrames, b: SmallFrames, offset: int) -> tuple[int, int]:
    """The range of samples of ``a`` that overlaps with ``b``."""
    return max(0, -offset), min(len(a), len(b) - offset)


def _misfit(a: SmallFrames, b: SmallFrames, offset: int) -> float:
    """Mean square of the motions' difference over that of the motions, on a few samples; 0 is best."""
    start, end = _shared(a, b, offset)
    step = max(1, (end - start) // 16)
    first = a.blurred[start:end:step, ::2, ::2]
    second = b.blurred[start + offset : end + offset : step, ::2, ::2]
    first, second = first - first.mean(0), second - second.mean(0)
    energy = float((first**2).sum() + (second**2).sum())
    return float(((first - second) ** 2).sum()) / max(energy, 1e-6)


def _compare_at(a: SmallFrames, b: SmallFrames, offset: int, reported_offset: int) -> ClipSimilarity:
    start, end = _shared(a, b, offset)
    still_a, still_b = _still(a.blurred[start:end]), _still(b.blurred[start + offset : end + offset])
    similarity, levels = _compare_stills(still_a, still_b)
    if similarity < _MIN_PICTURE_SIMILARITY or levels > _MAX_PICTURE_LEVELS:
        return ClipSimilarity(
            reported_offset / SMALL_FPS, (end - start) / SMALL_FPS, math.inf, math.inf, similarity, levels
        )
    samples = np.flatnonzero(a.is_new[start:end]) if a.is_new[start:end].any() else np.array([0])
    samples = samples[np.linspace(0, len(samples) - 1, min(len(samples), _MAX_SAMPLES)).astype(int)]
    motion_a = (a.blurred[start + samples] - still_a).reshape(len(samples), -1)
    motion_b = (b.blurred[start + offset : end + offset] - still_b).reshape(end - start, -1)
    motion_b = motion_b[_closest(motion_a, motion_b, samples)]
    worst = np.abs(motion_a - motion_b).max(1)
    strength = np.maximum(np.abs(motion_a).max(1), np.abs(motion_b).max(1))
    # the upper quartile: where something moves only now and then, those samples decide
    worst_levels, strength_levels = float(np.percentile(worst, 75)), float(np.percentile(strength, 75))
    return ClipSimilarity(
        offset_seconds=reported_offset / SMALL_FPS,
        shared_seconds=(end - start) / SMALL_FPS,
        difference=worst_levels / (strength_levels + _SOFTENING_LEVELS),
        motion_levels=strength_levels,
        picture_similarity=similarity,
        picture_levels=levels,
    )


def _still(blurred: Float32Array) -> Float32Array:
    chosen = blurred[np.linspace(0, len(blurred) - 1, min(len(blurred), _STILL_FRAMES)).astype(int)]
    return np.asarray(np.median(chosen, axis=0), dtype=np.float32)


def _closest(motion_a: Float32Array, motion_b: Float32Array, samples: IntArray) -> IntArray:
    """For each sample of ``a``, the best match among the nearby samples of ``b``."""
    distances = (motion_b**2).sum(1)[None] - 2 * motion_a @ motion_b.T
    is_around = np.abs(np.arange(len(motion_b))[None] - samples[:, None]) <= _JITTER_SAMPLES
    return np.asarray(np.where(is_around, distances, np.inf).argmin(1))


def _compare_stills(still_a: Float32Array, still_b: Float32Array) -> tuple[float, float]:
    """Correlation of their detail, and their worst place in grey levels, with brightness and contrast normalized."""
    detail_a, detail_b = _detail(still_a), _detail(still_b)
    norm = float(np.sqrt((detail_a**2).sum() * (detail_b**2).sum()))
    similarity = float((detail_a * detail_b).sum()) / norm if norm > 1e-6 else 0.0
    centred_a, centred_b = still_a - still_a.mean(), still_b - still_b.mean()
    gain = float((centred_a * centred_b).sum()) / max(float((centred_b**2).sum()), 1e-6)
    difference = cv2.GaussianBlur(centred_a - gain * centred_b, (0, 0), 0.8)
    difference = difference - cv2.GaussianBlur(difference, (0, 0), 6.0)  # vignettes and exposure do not count
    return similarity, float(np.abs(difference[2:-2, 2:-2]).max())  # at the rim, scalers differ


def _detail(still: Float32Array) -> Float32Array:
    return np.asarray(still - cv2.GaussianBlur(still, (0, 0), 3.0), dtype=np.float32)
