"""Finds pairs of clips that could be copies, by their fingerprints and without opening a file.

Two stages make thousands of clips feasible. First, windows of one second are compared as short vectors, all with all,
by matrix products. Then the remaining pairs are compared at every offset. Clips in which nothing moves, or that are too
short for a window, are compared by their mean or median frame instead.

A legend: N clips, V windows, D numbers a window, T sample times, H×W cells.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from videoclf.data_check.clip_similarity import MIN_SHARED_PART
from videoclf.data_check.motion_fingerprint import (
    CHANGE_FPS,
    SMALL_FPS,
    Float32Array,
    Int8Array,
    MotionFingerprint,
    mirror_detail,
)

_WINDOW_SAMPLES = 6
"""0.8 s; 1.07 s with the frames that the first sample is compared with."""
_NUM_QUERIES = 4
"""Windows of the shorter clip that are searched for in the longer one; the better half must be found."""
_NUM_COMPONENTS = 32
"""Numbers a window after projection onto the windows' principal components (of 288)."""
_MAX_SAMPLED_WINDOWS = 20_000
_MIN_WINDOW_SIMILARITY = 0.65
_MIN_COARSE_SIMILARITY = 0.5
_MIN_CLIP_SIMILARITY = 0.6
"""Cosine similarities. No legible copy is below. Of different Weizmann clips, 7% of the pairs are above, and are then
distinguished by the comparison of frames."""
_MIN_PICTURE_SIMILARITY = 0.8
_MIN_PLACE_SIMILARITY = 0.5
"""Low, because in a part of a clip, somebody may stand in front of the wall."""
_NUM_OFFSETS = 3
_MIN_ENERGY = 4.0
"""Of a window (norm, in grey levels): with less, nothing moves."""
_QUERY_BLOCK_CLIPS = 64
_BASE_BLOCK_CLIPS = 256
"""Compared at a time: 512 queries with some 6,000 windows, 12 MB of cosines, which fit in the processor's cache."""


@dataclass(frozen=True, order=True)
class CandidatePair:
    """Two clips that may be copies of each other."""

    first: int
    """The index of a clip."""
    second: int
    """The index of another clip, above `first`."""
    is_mirrored: bool
    """Whether one of them would be mirrored."""
    near_offsets: tuple[int, ...]
    """About which samples of the second clip, at `SMALL_FPS`, show what the first begins with: the most likely few,
    because motion may be repetitive. Empty if unknown."""


def find_candidate_pairs(
    fingerprints: Sequence[MotionFingerprint | None],
    is_wanted: Callable[[int, int], bool] = lambda _first, _second: True,
) -> list[CandidatePair]:
    """Find the pairs to compare, sorted.

    Args:
        fingerprints: one for each clip; None if the clip could not be read.
        is_wanted: whether to consider a pair, given by its indices (the lower one first).
    """
    windows = [_windows(s.change) if s is not None else np.empty((0, 0), np.float32) for s in fingerprints]
    moving = [i for i, found in enumerate(windows) if len(found)]
    static = [i for i, found in enumerate(windows) if fingerprints[i] is not None and not len(found)]
    found = set(_align(_similar_in_motion(moving, windows), fingerprints, is_wanted))
    return sorted(found | set(_similar_in_picture(static, fingerprints, is_wanted)))


def _windows(change: Int8Array) -> Float32Array:
    """``V×288``: the windows of a clip, at half height and width; windows in which nothing moves are left out."""
    num_samples = len(change)
    if num_samples < _WINDOW_SAMPLES:
        return np.empty((0, 0), np.float32)
    halved = _halve(change)
    starts = np.arange(0, num_samples - _WINDOW_SAMPLES + 1, 2 if num_samples > 2 * _WINDOW_SAMPLES else 1)
    windows = halved[starts[:, None] + np.arange(_WINDOW_SAMPLES)].reshape(len(starts), -1)
    return np.asarray(windows[np.linalg.norm(windows, axis=1) > _MIN_ENERGY], dtype=np.float32)


def _halve(change: Int8Array) -> Float32Array:
    """``T×6×8``."""
    num_samples, height, width = change.shape
    blocks = change.astype(np.float32).reshape(num_samples, height // 2, 2, width // 2, 2)
    return np.asarray(blocks.mean((2, 4)), dtype=np.float32)


def _similar_in_motion(moving: list[int], windows: list[Float32Array]) -> Iterator[tuple[int, int, bool]]:
    """Pairs of clips (and whether mirrored) for which windows of the shorter one are found in the longer one."""
    if len(moving) < 2:
        return
    by_length = sorted(moving, key=lambda i: (len(windows[i]), i))
    basis = _principal_components(windows, by_length)
    blocks = [
        _pad_together([_project(windows[i], basis) for i in by_length[start : start + _BASE_BLOCK_CLIPS]])
        for start in range(0, len(by_length), _BASE_BLOCK_CLIPS)
    ]
    for first in range(0, len(by_length), _QUERY_BLOCK_CLIPS):
        queries = [_pick_queries(windows[i]) for i in by_length[first : first + _QUERY_BLOCK_CLIPS]]
        plain = np.concatenate([_project(each, basis) for each in queries])
        mirrored = np.concatenate([_project(_mirror(each), basis) for each in queries])
        query_QD = np.concatenate([plain, mirrored])
        for number in range(first // _BASE_BLOCK_CLIPS, len(blocks)):  # the longer ones
            similarity = _find_queries(query_QD, blocks[number], len(queries))
            flip, query, clip = np.nonzero(similarity > _MIN_WINDOW_SIMILARITY)
            longer = clip + number * _BASE_BLOCK_CLIPS
            for one, other, is_mirrored in zip(query + first, longer, flip, strict=True):
                if other > one:
                    yield by_length[one], by_length[other], bool(is_mirrored)


def _pad_together(windows: list[Float32Array]) -> Float32Array:
    """``N×V×D``, V of the last, longest clip. Shorter ones repeat their first window, which changes no maximum."""
    padded = np.empty((len(windows), len(windows[-1]), windows[-1].shape[1]), np.float32)
    for row, each in zip(padded, windows, strict=True):
        row[: len(each)] = each
        row[len(each) :] = each[0]
    return padded


def _find_queries(query_QD: Float32Array, base_NVD: Float32Array, num_clips: int) -> Float32Array:
    """``2×num_clips×N``: how well the queries of each clip, as they are and mirrored, are found in each of N clips.

    The similarity of a window is the highest cosine among the windows of the other clip. The similarity of a clip is
    the mean of the better half of its queries.
    """
    num_base, num_windows, num_components = base_NVD.shape
    cosines = base_NVD.reshape(-1, num_components) @ query_QD.T
    best_NQ = cosines.reshape(num_base, num_windows, -1).max(1)
    ranked = np.sort(best_NQ.T.reshape(2, num_clips, _NUM_QUERIES, num_base), axis=2)
    return np.asarray(ranked[:, :, _NUM_QUERIES // 2 :].mean(2), dtype=np.float32)


def _pick_queries(windows: Float32Array) -> Float32Array:
    """Some windows of a clip, evenly spaced; repeated if there are fewer."""
    return np.asarray(windows[np.linspace(0, len(windows) - 1, _NUM_QUERIES).round().astype(int)], dtype=np.float32)


def _mirror(windows: Float32Array) -> Float32Array:
    return windows.reshape(len(windows), -1, 8)[:, :, ::-1].reshape(len(windows), -1)


def _principal_components(windows: list[Float32Array], chosen: list[int]) -> Float32Array:
    """``288×D``, computed from a sample of the windows and their mirror images."""
    step = 1 + sum(len(windows[i]) for i in chosen) // _MAX_SAMPLED_WINDOWS
    sample = np.concatenate([windows[i] for i in chosen[::step]])
    sample = np.concatenate([sample, _mirror(sample)])
    sample = sample / np.linalg.norm(sample, axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(vectors[:, -_NUM_COMPONENTS:], dtype=np.float32)


def _project(windows: Float32Array, basis: Float32Array) -> Float32Array:
    projected = windows @ basis
    return np.asarray(projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def _align(
    pairs: Iterator[tuple[int, int, bool]],
    fingerprints: Sequence[MotionFingerprint | None],
    is_wanted: Callable[[int, int], bool],
) -> Iterator[CandidatePair]:
    """Those pairs that are similar over the whole time that both show, with the best offsets.

    Most pairs are not, which half the height and width already shows.
    """
    samples_per_step = round(SMALL_FPS / CHANGE_FPS)
    coarse: dict[int, Track] = {}
    for one, other, is_mirrored in pairs:
        first, second = sorted((one, other))
        a, b = fingerprints[first], fingerprints[second]
        if a is None or b is None or not is_wanted(first, second) or _show_other_places(a, b, is_mirrored=is_mirrored):
            continue
        for i, fingerprint in ((first, a), (second, b)):
            if i not in coarse:
                coarse[i] = Track(_halve(fingerprint.change))
        shown = coarse[second].mirrored() if is_mirrored else coarse[second]
        if not best_offsets(coarse[first], shown, _MIN_COARSE_SIMILARITY)[1]:
            continue
        shown = Track(b.change).mirrored() if is_mirrored else Track(b.change)
        _, offsets = best_offsets(Track(a.change), shown, _MIN_CLIP_SIMILARITY)
        if offsets:
            yield CandidatePair(first, second, is_mirrored, tuple(offset * samples_per_step for offset in offsets))


def _show_other_places(a: MotionFingerprint, b: MotionFingerprint, *, is_mirrored: bool) -> bool:
    """Whether both cameras are fixed and show different places."""
    if not (a.is_camera_fixed and b.is_camera_fixed):
        return False
    return bool(a.detail @ (mirror_detail(b.detail) if is_mirrored else b.detail) < _MIN_PLACE_SIMILARITY)


class Track:
    """The change of a clip (``T×H×W``), prepared for comparison with others at many offsets."""

    def __init__(self, change: Int8Array | Float32Array) -> None:
        self._shape = change.shape
        self.samples = change.reshape(len(change), -1).astype(np.float32)
        """``T×(H·W)``."""
        self.energy = np.concatenate([[0.0], np.cumsum((self.samples**2).sum(1))])
        """``T+1``: the sum of squares up to each sample."""

    def mirrored(self) -> Track:
        """The mirrored clip."""
        turned = copy.copy(self)
        turned.samples = self.samples.reshape(self._shape)[:, :, ::-1].reshape(self.samples.shape)
        return turned


def best_offsets(a: Track, b: Track, min_similarity: float) -> tuple[float, list[int]]:
    """The cosine similarity of two clips' changes at the best offset, and the best offsets: the sample of ``b`` that
    matches the first one of ``a``, for the highest peaks. No offsets if the similarity is not above the minimum.

    At least `MIN_SHARED_PART` of the shorter one's samples must be shared.
    """
    num_a, num_b = len(a.samples), len(b.samples)
    # every diagonal of a·b as a column: rows in reverse, each shifted by one more
    products = np.zeros((num_a, num_a + num_b), np.float32)
    products[:, :num_b] = a.samples[::-1] @ b.samples.T
    sums = products.ravel()[: num_a * (num_a + num_b - 1)].reshape(num_a, -1).sum(0)
    min_shared = math.ceil(MIN_SHARED_PART * min(num_a, num_b))
    offsets = np.arange(min_shared - num_a, num_b - min_shared + 1)
    start, end = np.maximum(0, -offsets), np.minimum(num_a, num_b - offsets)
    norms = np.sqrt((a.energy[end] - a.energy[start]) * (b.energy[end + offsets] - b.energy[start + offsets]))
    cosines = sums[offsets + num_a - 1] / np.maximum(norms, 1)
    similarity = float(cosines.max())
    if similarity <= min_similarity:
        return similarity, []
    padded = np.concatenate([[-2.0], cosines, [-2.0]])
    peaks = np.flatnonzero((cosines >= padded[:-2]) & (cosines >= padded[2:]))
    return similarity, offsets[peaks[np.argsort(-cosines[peaks], kind="stable")][:_NUM_OFFSETS]].tolist()


def _similar_in_picture(
    static: list[int], fingerprints: Sequence[MotionFingerprint | None], is_wanted: Callable[[int, int], bool]
) -> Iterator[CandidatePair]:
    """Pairs of a clip in which nothing moves, or which is very short, with any other that has a similar picture."""
    present = [(i, s.detail) for i, s in enumerate(fingerprints) if s is not None]
    if not static or len(present) < 2:
        return
    indices = np.array([i for i, _ in present])
    details_ND = np.stack([detail for _, detail in present])
    is_static = np.isin(indices, static)
    for is_mirrored, shown_ND in ((False, details_ND), (True, mirror_detail(details_ND))):
        for row in np.flatnonzero(is_static):
            i = int(indices[row])
            is_similar = shown_ND @ details_ND[row] > _MIN_PICTURE_SIMILARITY
            for j in indices[is_similar & ((indices > i) | ~is_static)].tolist():
                if i != j and is_wanted(min(i, j), max(i, j)):
                    yield CandidatePair(min(i, j), max(i, j), is_mirrored, ())
