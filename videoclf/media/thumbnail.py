"""Thumbnails of videos, for reports."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from videoclf.errors import MediaError
from videoclf.media.frames import UInt8Array
from videoclf.media.options import ReadOptions
from videoclf.media.reader import open_video
from videoclf.media.sampling import SamplingPlan

MAX_SECONDS = 5.0
"""Maximum time in the codec for one thumbnail."""
_QUALITY = 60
"""Of JPEG: about 3 kB at 128 pixels, 4 kB at 160."""


def thumbnail(rgb: UInt8Array, *, long_side_px: int) -> bytes:
    """A JPEG of a frame (``H×W×3``), whose longer side has ``long_side_px`` pixels; empty if it cannot be encoded."""
    height, width = rgb.shape[:2]
    scale = long_side_px / max(height, width)
    small = cv2.resize(rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    is_encoded, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return jpeg.tobytes() if is_encoded else b""


def middle_thumbnail(path: Path, reading: ReadOptions, *, long_side_px: int) -> bytes:
    """A JPEG of the frame in the middle of a video; empty if it cannot be read. Decoding starts at the last keyframe
    before it, within the limits of ``reading`` and `MAX_SECONDS`."""
    seconds = min(reading.limits.max_decode_seconds, MAX_SECONDS)
    hurried = replace(reading, limits=replace(reading.limits, max_decode_seconds=seconds))
    try:
        with open_video(path, hurried, num_threads=1) as video:
            middle = SamplingPlan(np.array([video.info.duration_seconds / 2]), fps=1.0)
            frame = next(video.frames(middle), None)
    except MediaError:
        return b""
    return b"" if frame is None else thumbnail(frame.rgb, long_side_px=long_side_px)


def data_uri(jpeg: bytes) -> str:
    """The image as a ``data:`` URI; empty for no image."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""
