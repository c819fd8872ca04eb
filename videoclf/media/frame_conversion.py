"""Converts decoded frames to images as they are displayed: square pixels, rotation applied, colours converted."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from videoclf.media.frames import ColourMatrix, UInt8Array, YuvPlanes
from videoclf.media.orientation import Orientation

_MATRICES = {1: ColourMatrix.BT709, 9: ColourMatrix.BT2020, 10: ColourMatrix.BT2020}
"""FFmpeg's AVColorSpace; all others are read as BT.601, as its own conversion does, untagged ones included."""

_kept = threading.local()

_FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""


@dataclass(frozen=True)
class Display:
    """How the frames of one video are displayed. All get the size of the first."""

    stored_width: int
    """Columns before rotation, with square pixels."""
    stored_height: int
    rotation_degrees: int
    """Counter-clockwise: 0, 90, 180 or 270."""
    is_mirrored: bool = False
    """Columns are reversed before the rotation."""
    is_interlaced: bool = False
    """Odd and even rows are half a frame apart. They are not changed."""
    ignored: str = ""
    """Display instructions of the file that are not followed, as text."""

    @classmethod
    def of(cls, first: av.VideoFrame, pixel_aspect: float) -> Display:
        """The display that a video's first frame and its pixel aspect ratio (width over height) require."""
        asked = Orientation.of(first)
        if asked.ignored_aspect and abs(pixel_aspect / asked.ignored_aspect - 1) < 0.01:
            pixel_aspect = 1.0
        width, height = _square_pixel_size(first.width, first.height, pixel_aspect)
        return cls(width, height, asked.rotation_degrees, asked.is_mirrored, first.interlaced_frame, asked.ignored)

    @property
    def width(self) -> int:
        """Columns as displayed."""
        return self.stored_height if self.rotation_degrees in {90, 270} else self.stored_width

    @property
    def height(self) -> int:
        """Rows as displayed."""
        return self.stored_width if self.rotation_degrees in {90, 270} else self.stored_height

    def rgb(self, frame: av.VideoFrame) -> UInt8Array:
        """``H×W×3`` as displayed, converted with the matrix and range that the frame declares."""
        # one thread: for frames of this size, starting swscale's own threads takes longer than the conversion
        rgb = _reformatter().reformat(
            frame, format="rgb24", width=self.stored_width, height=self.stored_height, threads=1
        )
        return self._turned(np.asarray(rgb.to_ndarray(), dtype=np.uint8))

    def rgb_of_stored(self, rgb: UInt8Array) -> UInt8Array:
        """The same for a decoder that returns ``H×W×3`` as stored."""
        return self._turned(_resized(rgb, self.stored_width, self.stored_height))

    def rgb_of_displayed(self, rgb: UInt8Array) -> UInt8Array:
        """The same for a decoder that applies the rotation but not the pixel aspect ratio."""
        return np.ascontiguousarray(_resized(rgb, self.width, self.height))

    def yuv(self, frame: av.VideoFrame) -> YuvPlanes:
        """The planes as stored, if they are 8-bit 4:2:0. Other formats are converted to that."""
        is_full_range = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
        if frame.format.name not in {"yuv420p", "yuvj420p"}:
            frame = _reformatter().reformat(frame, format="yuvj420p" if is_full_range else "yuv420p", threads=1)
        y, u, v = (_plane(frame, index) for index in range(3))
        matrix = _MATRICES.get(int(frame.colorspace), ColourMatrix.BT601)
        return YuvPlanes(
            y, u, v, matrix, is_full_range, self.rotation_degrees, self.is_mirrored, self.width, self.height
        )

    def _turned(self, rgb: UInt8Array) -> UInt8Array:
        if self.is_mirrored:
            rgb = rgb[:, ::-1]
        return np.ascontiguousarray(np.rot90(rgb, k=self.rotation_degrees // 90), dtype=np.uint8)


def _reformatter() -> VideoReformatter:
    """This thread's own: it keeps swscale's tables from frame to frame, which take longer than a small frame."""
    if not hasattr(_kept, "reformatter"):
        _kept.reformatter = VideoReformatter()
    reformatter: VideoReformatter = _kept.reformatter
    return reformatter


def _resized(rgb: UInt8Array, width: int, height: int) -> UInt8Array:
    if rgb.shape[:2] == (height, width):
        return rgb
    import cv2  # a tenth of a second, and most videos have square pixels

    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _plane(frame: av.VideoFrame, index: int) -> UInt8Array:
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    return np.array(rows[: plane.height, : plane.width])


def _square_pixel_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """The stored size widened or heightened until pixels are square; odd claims (over 4:1) are ignored."""
    if 1 < aspect <= 4:
        return round(width * aspect), height
    if 0.25 <= aspect < 1:
        return width, round(height / aspect)
    return width, height
