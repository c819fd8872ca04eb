"""Time and memory of the search for near-duplicates at UCF101's scale, with synthetic fingerprints.

    python benchmarks/near_duplicates.py [--clips N] [--seconds S]

Draws N fingerprints of S seconds on average (smooth noise in time and space: harder to distinguish than noise, easier
than people), and a copy of every hundredth clip: cut, mirrored, with noise. Prints the time for all pairs, how many
pairs remain to be compared frame by frame, how many of the copies are among them, and the peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time

import cv2
import numpy as np

from videoclf.data_check.duplicate_search import find_candidate_pairs
from videoclf.data_check.motion_fingerprint import (
    CHANGE_FPS,
    CHANGE_SHAPE,
    PICTURE_SHAPE,
    Float32Array,
    Int8Array,
    MotionFingerprint,
    detail_of,
)
from videoclf.media.frames import UInt8Array

_OVER_TIME = np.array([1, 2, 1], np.float32) / 4
"""What is seen at one moment is still there at the next ones, as in real fingerprints."""


def main() -> None:
    """Draw, search, and print."""
    parser = argparse.ArgumentParser(description="Near-duplicate search at scale, with synthetic fingerprints.")
    parser.add_argument("--clips", type=int, default=13_000)
    parser.add_argument("--seconds", type=float, default=7.0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    originals = [draw(rng, arguments.seconds) for _ in range(arguments.clips)]
    copies = [copy_of(fingerprint, rng) for fingerprint in originals[::100]]
    size_mb = sum(s.change.nbytes + s.detail.nbytes + s.picture.nbytes for s in [*originals, *copies]) / 1e6
    before_mb = peak_mb()
    started = time.perf_counter()
    found = {(c.first, c.second) for c in find_candidate_pairs([*originals, *copies])}
    seconds = time.perf_counter() - started
    wanted = {(100 * number, len(originals) + number) for number in range(len(copies))}
    num_clips = len(originals) + len(copies)
    print(f"{num_clips} clips of {arguments.seconds:g} s, {num_clips * (num_clips - 1) // 2 / 1e6:.1f} million pairs")
    print(f"all pairs in {seconds:.1f} s; {len(found)} left, {len(found & wanted)} of {len(wanted)} copies among them")
    print(f"fingerprints {size_mb:.0f} MB; peak {before_mb:.0f} MB before the search, {peak_mb():.0f} MB after")


def draw(rng: np.random.Generator, mean_seconds: float) -> MotionFingerprint:
    """A clip in which something goes about, from a third of the mean length to five thirds."""
    num_samples = round(CHANGE_FPS * mean_seconds * rng.uniform(1 / 3, 5 / 3))
    noise = rng.normal(0, 800, (num_samples + len(_OVER_TIME) - 1, *CHANGE_SHAPE)).astype(np.float32)
    change = np.stack([cv2.GaussianBlur(moment, (0, 0), 2.0) for moment in noise])
    change = np.stack([np.tensordot(_OVER_TIME, change[i : i + len(_OVER_TIME)], 1) for i in range(num_samples)])
    picture = cv2.resize(rng.integers(0, 256, (9, 12), dtype=np.uint8), PICTURE_SHAPE[::-1])
    return sign(change, np.asarray(picture, dtype=np.uint8))


def copy_of(fingerprint: MotionFingerprint, rng: np.random.Generator) -> MotionFingerprint:
    """A sixth cut off at both ends, mirrored, with noise of a third of its strength."""
    cut = len(fingerprint.change) // 6
    change = fingerprint.change[cut : len(fingerprint.change) - cut, :, ::-1].astype(np.float32)
    noise = rng.normal(0, change.std() / 3, change.shape).astype(np.float32)
    return sign(change + noise, fingerprint.picture[:, ::-1])


def sign(change: Float32Array, picture: UInt8Array) -> MotionFingerprint:
    """A fingerprint of a moving camera: no pair is spared for showing another place."""
    rounded: Int8Array = np.clip(np.rint(change), -127, 127).astype(np.int8)
    shown = np.ascontiguousarray(picture)
    return MotionFingerprint(rounded, shown, detail_of(shown), is_camera_fixed=False)


def peak_mb() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
