"""The data of the near-duplicate search: motion fingerprints (to find candidate pairs) and small grey frames (to
compare two clips).

With a fixed camera, the frame as a whole does not distinguish clips: it shows the same wall every time. What moves in
front of it does. Therefore a `MotionFingerprint` contains differences of frames over time, in which the static
background cancels out, whatever part of the clip was removed; and `SmallFrames` are compared after the temporal median
of the part that both clips show is subtracted.

A legend: T sample times, H×W cells of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from videoclf.media.frames import RgbFrames, UInt8Array
from videoclf.media.reader import Chunks

Int8Array = npt.NDArray[np.int8]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.intp]

PICTURE_SHAPE = (36, 48)
"""H×W of `SmallFrames`. At half of it, two people who walk alike look the same; low-quality copies lack more detail."""
CHANGE_SHAPE = (12, 16)
"""H×W of a fingerprint: enough to locate motion, 192 bytes a sample."""
CHANGE_FPS = 7.5
"""Samples a second of a fingerprint."""
SMALL_FPS = 30.0
"""Samples a second of `SmallFrames`. They contain every frame of a common video, so that for each frame of a copy at
another rate, the frame that it was made from is there."""
COMPARED_SECONDS = 30.0
"""A longer clip is divided into equal windows of at most this, and represented by the first one: a copy of it is found
by its beginning. Hours of video would otherwise take hours and gigabytes."""

_CHANGE_SAMPLES = 2
"""A fingerprint is the difference from the frame 0.27 s before: enough for motion at any common speed."""
_QUIET_LEVELS = 1.5
"""Smaller changes (of 255) are a codec's noise."""
_BLUR_CELLS = 0.7
"""Standard deviation of the blur, which reduces the effect of blocks and half-cell shifts. (0.7 separated copies from
other clips better than 1.5.)"""
_FIXED_SIMILARITY = 0.8
"""Of the temporal medians of a clip's two halves, if the camera does not move."""


@dataclass(frozen=True, repr=False)
class MotionFingerprint:
    """The change of one clip over time, small enough for thousands of clips in memory."""

    change: Int8Array
    """``T×12×16``, grey levels up to ±127: the difference from the frame 0.27 s before, 7.5 times a second. T is 0 for
    clips shorter than that."""
    picture: UInt8Array
    """``36×48``: the temporal median if the camera is fixed, else the temporal mean."""
    detail: Float32Array
    """`detail_of` the picture. Its dot product with another clip's is their cosine similarity."""
    is_camera_fixed: bool
    """Whether both halves of the clip have the same temporal median."""

    def __post_init__(self) -> None:
        if self.change.shape[1:] != CHANGE_SHAPE or self.picture.shape != PICTURE_SHAPE:
            raise ValueError(f"expected T×12×16 and 36×48, got {self.change.shape} and {self.picture.shape}")

    def __repr__(self) -> str:
        return f"MotionFingerprint({len(self.change)} samples)"


def shrink(rgb: UInt8Array, shape: tuple[int, int] = PICTURE_SHAPE) -> UInt8Array:
    """Resize a frame (``H×W×3``) to a small grey picture of this shape, regardless of its aspect ratio."""
    small = cv2.resize(rgb, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def make_fingerprint(pictures: UInt8Array) -> MotionFingerprint:
    """Compute the fingerprint of a clip.

    Args:
        pictures: ``T×36×48`` grey, at `CHANGE_FPS`.
    """
    coarse = np.stack([cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0) for picture in pictures])
    rows, columns = (full // part for full, part in zip(PICTURE_SHAPE, CHANGE_SHAPE, strict=True))
    coarse = coarse.reshape(len(coarse), CHANGE_SHAPE[0], rows, CHANGE_SHAPE[1], columns).mean((2, 4))
    change = coarse[_CHANGE_SAMPLES:] - coarse[:-_CHANGE_SAMPLES]
    change = np.sign(change) * np.maximum(np.abs(change) - _QUIET_LEVELS, 0)
    if len(change) > 2:  # over time too: a copy at another rate shows each picture a little sooner or later
        padded = np.concatenate([change[:1], change, change[-1:]])
        change = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    half = len(pictures) // 2
    first, second = detail_of(still_picture(pictures[: half + 1])), detail_of(still_picture(pictures[half:]))
    is_camera_fixed = bool(first @ second > _FIXED_SIMILARITY)
    picture = still_picture(pictures) if is_camera_fixed else mean_picture(pictures)
    return MotionFingerprint(
        change=np.clip(np.rint(change), -127, 127).astype(np.int8),
        picture=picture,
        detail=detail_of(picture),
        is_camera_fixed=is_camera_fixed,
    )


def detail_of(picture: UInt8Array) -> Float32Array:
    """``432``, a unit vector: a picture (``36×48``) without its coarse shading; zeros if it is of one colour."""
    shown = picture.astype(np.float32)
    detail = cv2.GaussianBlur(shown, (0, 0), 1.0) - cv2.GaussianBlur(shown, (0, 0), 4.0)
    flat = np.asarray(cv2.resize(detail, (24, 18), interpolation=cv2.INTER_AREA), dtype=np.float32).ravel()
    norm = float(np.linalg.norm(flat))
    return np.asarray(flat / norm if norm > 1 else np.zeros_like(flat), dtype=np.float32)


def mirror_detail(detail: Float32Array) -> Float32Array:
    """The detail of the mirrored picture (or of several, ``N×432``)."""
    return np.ascontiguousarray(detail.reshape(-1, 18, 24)[:, :, ::-1].reshape(detail.shape))


def still_picture(pictures: UInt8Array) -> UInt8Array:
    """The temporal median, ``H×W``: the static background of a fixed camera."""
    return np.asarray(np.median(pictures, axis=0), dtype=np.uint8)


def mean_picture(pictures: UInt8Array) -> UInt8Array:
    """The temporal mean, ``H×W``. Unlike the median, it changes little if a part of the clip is removed."""
    return np.asarray(pictures.mean(axis=0).round(), dtype=np.uint8)


@dataclass(frozen=True, repr=False)
class SmallFrames:
    """The frames of a clip as small grey pictures, for comparison with another clip."""

    pictures: UInt8Array
    """``T×36×48``: the frame on display at each sample time, `SMALL_FPS` a second."""
    is_new: npt.NDArray[np.bool_]
    """``T``: whether it is another frame than at the sample time before."""

    def __post_init__(self) -> None:
        if self.pictures.shape != (len(self.is_new), *PICTURE_SHAPE):
            raise ValueError(f"expected {len(self.is_new)}×36×48, got {self.pictures.shape}")

    @cached_property
    def blurred(self) -> Float32Array:
        """``T×36×48``, lightly blurred."""
        return np.stack([cv2.GaussianBlur(p.astype(np.float32), (0, 0), _BLUR_CELLS) for p in self.pictures])

    def mirrored(self) -> SmallFrames:
        """The mirrored clip."""
        turned = SmallFrames(np.ascontiguousarray(self.pictures[:, :, ::-1]), self.is_new)
        turned.__dict__["blurred"] = np.ascontiguousarray(self.blurred[:, :, ::-1])  # blurring again would take longer
        return turned

    def __len__(self) -> int:
        return len(self.pictures)

    def __repr__(self) -> str:
        return f"SmallFrames({len(self)} samples, {int(self.is_new.sum())} frames)"


def read_small_frames(chunks: Chunks) -> SmallFrames:
    """A transform for the reader, for requests at `SMALL_FPS`."""
    pictures: list[UInt8Array] = []
    is_new: list[bool] = []
    last_pts_seconds = -1.0
    for chunk in chunks:
        for rgb, pts_seconds in _samples(chunk):
            is_new.append(pts_seconds != last_pts_seconds)
            pictures.append(shrink(rgb) if is_new[-1] else pictures[-1])
            last_pts_seconds = pts_seconds
    return SmallFrames(np.stack(pictures), np.array(is_new))


def _samples(chunk: RgbFrames) -> Sequence[tuple[UInt8Array, float]]:
    return list(zip(chunk.rgb, chunk.pts_seconds.tolist(), strict=True))
