"""The sieves: quick, and no copy is lost in them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np

from videoclf.data_check.duplicate_search import Track, best_offsets, find_candidate_pairs
from videoclf.data_check.motion_fingerprint import CHANGE_SHAPE, MotionFingerprint, detail_of, make_fingerprint
from videoclf.media.frames import UInt8Array


def random_signature(rng: np.random.Generator, num_samples: int = 30) -> MotionFingerprint:
    """As that of a clip in which something goes about: smooth in time and space."""
    noise = rng.normal(0, 400, (num_samples, *CHANGE_SHAPE)).astype(np.float32)
    change = np.stack([cv2.GaussianBlur(moment, (0, 0), 2.0) for moment in noise])
    change[1:] += change[:-1]
    picture: UInt8Array = rng.integers(0, 256, (36, 48), dtype=np.uint8)
    return MotionFingerprint(
        np.clip(change, -127, 127).astype(np.int8), picture, detail_of(picture), is_camera_fixed=False
    )


def random_wall(rng: np.random.Generator) -> UInt8Array:
    """``36×48``, smooth enough to be recognised."""
    return np.asarray(cv2.resize(rng.integers(0, 256, (9, 12), dtype=np.uint8), (48, 36)), dtype=np.uint8)


def part_of(fingerprint: MotionFingerprint, start: int, end: int, *, is_mirrored: bool = False) -> MotionFingerprint:
    change = fingerprint.change[start:end, :, :: -1 if is_mirrored else 1]
    return MotionFingerprint(
        np.ascontiguousarray(change), fingerprint.picture, fingerprint.detail, is_camera_fixed=False
    )


def pairs_of(fingerprints: Sequence[MotionFingerprint | None]) -> list[tuple[int, int, bool]]:
    return [(c.first, c.second, c.is_mirrored) for c in find_candidate_pairs(fingerprints)]


def test_a_cut_clip_is_laid_over_the_whole_one_where_it_came_from() -> None:
    change = random_signature(np.random.default_rng(0)).change
    whole, part = Track(change), Track(change[7:25])
    likeness, offsets = best_offsets(part, whole, 0.5)
    assert likeness > 0.999
    assert offsets[0] == 7
    assert best_offsets(whole, part, 0.5)[1][0] == -7


def test_too_small_a_part_is_no_match() -> None:
    whole = random_signature(np.random.default_rng(0)).change
    likeness, _ = best_offsets(Track(whole[:20]), Track(whole[10:]), 0.5)
    assert likeness < 0.9


def test_copies_pass_and_others_do_not() -> None:
    rng = np.random.default_rng(1)
    fingerprints: list[MotionFingerprint | None] = [random_signature(rng) for _ in range(40)]
    first, second = fingerprints[3], fingerprints[17]
    assert first is not None
    assert second is not None
    copies = [part_of(first, 5, 28), part_of(second, 0, 22, is_mirrored=True)]
    assert pairs_of([*fingerprints, None, *copies]) == [(3, 41, False), (17, 42, True)]


def test_pairs_that_are_not_wanted_do_not_pass() -> None:
    fingerprint = random_signature(np.random.default_rng(2))
    assert len(find_candidate_pairs([fingerprint, fingerprint])) == 1
    assert find_candidate_pairs([fingerprint, fingerprint], lambda _first, _second: False) == []


def test_two_fixed_cameras_at_different_places_are_not_compared() -> None:
    """The same movement, and nothing else in common."""
    rng = np.random.default_rng(3)
    change = random_signature(rng).change
    walls = [random_wall(rng) for _ in range(2)]
    fixed, moving = (
        [MotionFingerprint(change, wall, detail_of(wall), is_camera_fixed=is_fixed) for wall in walls]
        for is_fixed in (True, False)
    )
    assert pairs_of(fixed) == []
    assert pairs_of(moving) == [(0, 1, False)]


def test_short_clips_are_compared_by_their_pictures() -> None:
    rng = np.random.default_rng(4)
    wall, other = (random_wall(rng) for _ in range(2))
    short = [make_fingerprint(np.stack([each, each])) for each in (wall, other, wall[:, ::-1], wall)]
    assert pairs_of(short) == [(0, 2, True), (0, 3, False), (2, 3, True)]


def test_a_blank_picture_is_like_no_other() -> None:
    black = make_fingerprint(np.zeros((3, 36, 48), np.uint8))
    assert pairs_of([black, black]) == []


def test_1500_clips_take_seconds_not_minutes() -> None:
    """benchmarks/near_duplicates.py has the figures for 13,000."""
    rng = np.random.default_rng(5)
    fingerprints = [random_signature(rng) for _ in range(1500)]
    started = time.perf_counter()
    assert find_candidate_pairs(fingerprints) == []
    assert time.perf_counter() - started < 20
