"""Which pairs of clips could be copies: found among all pairs by their signatures, without opening a file.

Two sieves, so that thousands of clips are no matter of hours. First, windows of a second are compared as short vectors,
all with all, by matrix products. Then the pairs that remain are laid over each other at every offset. Clips in which
nothing moves, or too short for a window, are compared by their still pictures instead.

A legend: N clips, V windows, D numbers a window, T moments, H×W cells.
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
    Signature,
    mirror_detail,
)

_WINDOW_MOMENTS = 6
"""0.8 s; with what a moment reaches back, 1.07 s."""
_NUM_QUERIES = 4
"""Windows of the shorter clip that are looked for in the longer one; the better half must be found."""
_NUM_COMPONENTS = 32
"""Numbers a window after projection on the windows' principal components (of 288)."""
_MAX_SAMPLED_WINDOWS = 20_000
_MIN_WINDOW_LIKENESS = 0.65
_MIN_COARSE_LIKENESS = 0.5
_MIN_CLIP_LIKENESS = 0.6
"""Cosines. Of legible copies none is below; of different Weizmann clips 7% of the pairs are above, which the comparison
of frames then parts."""
_MIN_PICTURE_LIKENESS = 0.8
_MIN_PLACE_LIKENESS = 0.5
"""Low: in a part of a clip, somebody may stand where there was wall."""
_NUM_OFFSETS = 3
_MIN_ENERGY = 4.0
"""Of a window (norm, grey levels): with less, nothing moves."""
_QUERY_BLOCK_CLIPS = 64
_BASE_BLOCK_CLIPS = 256
"""Compared at a time: 512 queries with some 6,000 windows, 12 MB of cosines, which stay in the processor's cache."""


@dataclass(frozen=True, order=True)
class Candidate:
    """Two clips that may be copies of each other."""

    first: int
    """Index of a clip."""
    second: int
    """Index of another, above `first`."""
    is_mirrored: bool
    """Whether one of them would have left and right exchanged."""
    near_offsets: tuple[int, ...]
    """About which moment of the second, at `SMALL_FPS`, shows what the first begins with: the likeliest few, since
    movements repeat themselves. None given means that nobody knows."""


def find_candidates(
    signatures: Sequence[Signature | None],
    is_wanted: Callable[[int, int], bool] = lambda _first, _second: True,
) -> list[Candidate]:
    """The pairs worth comparing, sorted.

    Args:
        signatures: one a clip; None where the clip could not be read.
        is_wanted: whether a pair, by its indices (the lower one first), matters.
    """
    windows = [_windows(s.change) if s is not None else np.empty((0, 0), np.float32) for s in signatures]
    lively = [i for i, found in enumerate(windows) if len(found)]
    quiet = [i for i, found in enumerate(windows) if signatures[i] is not None and not len(found)]
    found = set(_lay_over(_alike_in_movement(lively, windows), signatures, is_wanted))
    return sorted(found | set(_alike_in_picture(quiet, signatures, is_wanted)))


def _windows(change: Int8Array) -> Float32Array:
    """``V×288``: a clip's windows, halved in height and width; those in which nothing moves are left out."""
    num_moments = len(change)
    if num_moments < _WINDOW_MOMENTS:
        return np.empty((0, 0), np.float32)
    halved = _halve(change)
    starts = np.arange(0, num_moments - _WINDOW_MOMENTS + 1, 2 if num_moments > 2 * _WINDOW_MOMENTS else 1)
    windows = halved[starts[:, None] + np.arange(_WINDOW_MOMENTS)].reshape(len(starts), -1)
    return np.asarray(windows[np.linalg.norm(windows, axis=1) > _MIN_ENERGY], dtype=np.float32)


def _halve(change: Int8Array) -> Float32Array:
    """``T×6×8``."""
    num_moments, height, width = change.shape
    blocks = change.astype(np.float32).reshape(num_moments, height // 2, 2, width // 2, 2)
    return np.asarray(blocks.mean((2, 4)), dtype=np.float32)


def _alike_in_movement(lively: list[int], windows: list[Float32Array]) -> Iterator[tuple[int, int, bool]]:
    """Pairs of clips, and whether mirrored, of which the shorter one's windows are found in the longer one."""
    if len(lively) < 2:
        return
    by_length = sorted(lively, key=lambda i: (len(windows[i]), i))
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
            likeness = _find_queries(query_QD, blocks[number], len(queries))
            flip, query, clip = np.nonzero(likeness > _MIN_WINDOW_LIKENESS)
            longer = clip + number * _BASE_BLOCK_CLIPS
            for one, other, is_mirrored in zip(query + first, longer, flip, strict=True):
                if other > one:
                    yield by_length[one], by_length[other], bool(is_mirrored)


def _pad_together(windows: list[Float32Array]) -> Float32Array:
    """``N×V×D``, V that of the last and longest; of a shorter one the first window is repeated: no maximum changes."""
    padded = np.empty((len(windows), len(windows[-1]), windows[-1].shape[1]), np.float32)
    for row, each in zip(padded, windows, strict=True):
        row[: len(each)] = each
        row[len(each) :] = each[0]
    return padded


def _find_queries(query_QD: Float32Array, base_NVD: Float32Array, num_clips: int) -> Float32Array:
    """``2×num_clips×N``: how well each clip's queries, as they are and mirrored, are found in each of N clips.

    A window's likeness is the highest cosine among the windows of the other clip, a clip's the mean of the better half.
    """
    num_base, num_windows, num_components = base_NVD.shape
    cosines = base_NVD.reshape(-1, num_components) @ query_QD.T
    best_NQ = cosines.reshape(num_base, num_windows, -1).max(1)
    ranked = np.sort(best_NQ.T.reshape(2, num_clips, _NUM_QUERIES, num_base), axis=2)
    return np.asarray(ranked[:, :, _NUM_QUERIES // 2 :].mean(2), dtype=np.float32)


def _pick_queries(windows: Float32Array) -> Float32Array:
    """Some of a clip's windows, evenly spaced; repeated where there are fewer."""
    return np.asarray(windows[np.linspace(0, len(windows) - 1, _NUM_QUERIES).round().astype(int)], dtype=np.float32)


def _mirror(windows: Float32Array) -> Float32Array:
    return windows.reshape(len(windows), -1, 8)[:, :, ::-1].reshape(len(windows), -1)


def _principal_components(windows: list[Float32Array], chosen: list[int]) -> Float32Array:
    """``288×D``; of a sample of the windows and their mirror images."""
    step = 1 + sum(len(windows[i]) for i in chosen) // _MAX_SAMPLED_WINDOWS
    sample = np.concatenate([windows[i] for i in chosen[::step]])
    sample = np.concatenate([sample, _mirror(sample)])
    sample = sample / np.linalg.norm(sample, axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(vectors[:, -_NUM_COMPONENTS:], dtype=np.float32)


def _project(windows: Float32Array, basis: Float32Array) -> Float32Array:
    projected = windows @ basis
    return np.asarray(projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def _lay_over(
    pairs: Iterator[tuple[int, int, bool]],
    signatures: Sequence[Signature | None],
    is_wanted: Callable[[int, int], bool],
) -> Iterator[Candidate]:
    """Those of the pairs that are alike over the whole time which both show, with the offsets at which they are.

    Most are not, which half the height and width already tells.
    """
    moments_per_step = round(SMALL_FPS / CHANGE_FPS)
    coarse: dict[int, Track] = {}
    for one, other, is_mirrored in pairs:
        first, second = sorted((one, other))
        a, b = signatures[first], signatures[second]
        if a is None or b is None or not is_wanted(first, second) or _show_other_places(a, b, is_mirrored=is_mirrored):
            continue
        for i, signature in ((first, a), (second, b)):
            if i not in coarse:
                coarse[i] = Track(_halve(signature.change))
        shown = coarse[second].mirrored() if is_mirrored else coarse[second]
        if not best_offsets(coarse[first], shown, _MIN_COARSE_LIKENESS)[1]:
            continue
        shown = Track(b.change).mirrored() if is_mirrored else Track(b.change)
        _, offsets = best_offsets(Track(a.change), shown, _MIN_CLIP_LIKENESS)
        if offsets:
            yield Candidate(first, second, is_mirrored, tuple(offset * moments_per_step for offset in offsets))


def _show_other_places(a: Signature, b: Signature, *, is_mirrored: bool) -> bool:
    """Whether two fixed cameras look at different things."""
    if not (a.is_camera_fixed and b.is_camera_fixed):
        return False
    return bool(a.detail @ (mirror_detail(b.detail) if is_mirrored else b.detail) < _MIN_PLACE_LIKENESS)


class Track:
    """A clip's change (``T×H×W``), made ready to be laid over others'."""

    def __init__(self, change: Int8Array | Float32Array) -> None:
        self._shape = change.shape
        self.moments = change.reshape(len(change), -1).astype(np.float32)
        """``T×(H·W)``."""
        self.energy = np.concatenate([[0.0], np.cumsum((self.moments**2).sum(1))])
        """``T+1``: the sum of squares up to each moment."""

    def mirrored(self) -> Track:
        """Left and right exchanged."""
        turned = copy.copy(self)
        turned.moments = self.moments.reshape(self._shape)[:, :, ::-1].reshape(self.moments.shape)
        return turned


def best_offsets(a: Track, b: Track, min_likeness: float) -> tuple[float, list[int]]:
    """How alike two clips' changes are where they fit best (a cosine), and which moment of ``b`` is then ``a``'s first:
    the best of all offsets and the next best peaks; none where they are not that alike.

    At least `MIN_SHARED_PART` of the shorter one's moments must be shared.
    """
    num_a, num_b = len(a.moments), len(b.moments)
    # every diagonal of a·b as a column: rows in reverse, each shifted by one more
    products = np.zeros((num_a, num_a + num_b), np.float32)
    products[:, :num_b] = a.moments[::-1] @ b.moments.T
    sums = products.ravel()[: num_a * (num_a + num_b - 1)].reshape(num_a, -1).sum(0)
    min_shared = math.ceil(MIN_SHARED_PART * min(num_a, num_b))
    offsets = np.arange(min_shared - num_a, num_b - min_shared + 1)
    start, end = np.maximum(0, -offsets), np.minimum(num_a, num_b - offsets)
    norms = np.sqrt((a.energy[end] - a.energy[start]) * (b.energy[end + offsets] - b.energy[start + offsets]))
    cosines = sums[offsets + num_a - 1] / np.maximum(norms, 1)
    likeness = float(cosines.max())
    if likeness <= min_likeness:
        return likeness, []
    padded = np.concatenate([[-2.0], cosines, [-2.0]])
    peaks = np.flatnonzero((cosines >= padded[:-2]) & (cosines >= padded[2:]))
    return likeness, offsets[peaks[np.argsort(-cosines[peaks], kind="stable")][:_NUM_OFFSETS]].tolist()


def _alike_in_picture(
    quiet: list[int], signatures: Sequence[Signature | None], is_wanted: Callable[[int, int], bool]
) -> Iterator[Candidate]:
    """Pairs of a clip in which nothing moves, or which is very short, and any other whose still picture is like its."""
    present = [(i, s.detail) for i, s in enumerate(signatures) if s is not None]
    if not quiet or len(present) < 2:
        return
    indices = np.array([i for i, _ in present])
    details_ND = np.stack([detail for _, detail in present])
    is_quiet = np.isin(indices, quiet)
    for is_mirrored, shown_ND in ((False, details_ND), (True, mirror_detail(details_ND))):
        for row in np.flatnonzero(is_quiet):
            i = int(indices[row])
            alike = shown_ND @ details_ND[row] > _MIN_PICTURE_LIKENESS
            for j in indices[alike & ((indices > i) | ~is_quiet)].tolist():
                if i != j and is_wanted(min(i, j), max(i, j)):
                    yield Candidate(min(i, j), max(i, j), is_mirrored, ())
