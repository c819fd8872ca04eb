"""The values that the media room hands on: what a video is, and frames taken from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of its video stream, and what its packets show."""

    path: Path
    codec: str
    width: int
    """Columns as displayed: pixels made square, rotation applied."""
    height: int
    """Rows as displayed."""
    rotation_degrees: int
    """How far the stored picture is turned counter-clockwise for display: 0, 90, 180 or 270."""
    start_seconds: float
    """Presentation time of the first frame; moments count from here."""
    duration_seconds: float
    """From the first frame's appearance to the last one's end, by the packets' own timestamps where they have any."""
    average_fps: float
    """Frames a second over that time."""
    has_variable_fps: bool | None
    """Whether frames are spaced unevenly; None where packets carry no timestamps."""


@dataclass(frozen=True)
class RgbFrame:
    """One moment's picture."""

    rgb: UInt8Array
    """``H×W×3`` in [0, 255]; a frame that serves several moments is the same array each time."""
    pts_seconds: float
    """When it appeared, counted from the video's first frame."""


class ColourMatrix(StrEnum):
    """How luma and chroma mix to red, green and blue."""

    BT601 = "bt601"
    BT709 = "bt709"
    BT2020 = "bt2020"


@dataclass(frozen=True, repr=False)
class YuvPlanes:
    """A frame as it was decoded: 8-bit 4:2:0, to be converted, turned and scaled where it is used."""

    y: UInt8Array
    """``H×W``, as stored."""
    u: UInt8Array
    """``⌈H/2⌉×⌈W/2⌉``; zero chroma is 128."""
    v: UInt8Array
    """As ``u``."""
    matrix: ColourMatrix
    is_full_range: bool
    """True: 0 to 255 throughout. False: luma from 16 to 235, chroma from 16 to 240."""
    rotation_degrees: int
    """How far to turn it counter-clockwise for display: 0, 90, 180 or 270."""
    is_mirrored: bool
    """Whether to reverse its columns before turning it."""
    display_width: int
    """Columns after turning, pixels made square."""
    display_height: int

    def __repr__(self) -> str:
        height, width = self.y.shape
        return f"YuvPlanes({width}×{height}, {self.matrix}, {'full' if self.is_full_range else 'limited'} range)"


@dataclass(frozen=True, repr=False)
class YuvFrame:
    """One moment's picture."""

    planes: YuvPlanes
    """A frame that serves several moments is the same object each time."""
    pts_seconds: float
    """When it appeared, counted from the video's first frame."""


@dataclass(frozen=True, repr=False)
class RgbFrames:
    """Consecutive moments of one video."""

    rgb: UInt8Array
    """``T×H×W×3`` in [0, 255]."""
    pts_seconds: Float64Array
    """``T``: when each frame appeared, counted from the video's first frame; a repeated value is a repeated frame."""
    source: str
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rgb.ndim != 4 or self.rgb.shape[3] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(f"rgb must be uint8 T×H×W×3, got {self.rgb.dtype} {self.rgb.shape}")
        if self.pts_seconds.shape != self.rgb.shape[:1]:
            raise ValueError(f"{len(self.rgb)} frames but pts_seconds of shape {self.pts_seconds.shape}")

    @classmethod
    def stack(cls, frames: Sequence[RgbFrame], source: str, warnings: tuple[str, ...] = ()) -> RgbFrames:
        """At least one frame, all of one size, as one value."""
        rgb = np.stack([frame.rgb for frame in frames])
        return cls(rgb, np.array([frame.pts_seconds for frame in frames], dtype=np.float64), source, warnings)

    @property
    def num_repeated(self) -> int:
        """How many moments show the same frame as the moment before."""
        return int(np.count_nonzero(np.diff(self.pts_seconds) == 0))

    def __len__(self) -> int:
        return len(self.rgb)

    def __repr__(self) -> str:
        num_frames, height, width, _ = self.rgb.shape
        return f"RgbFrames({self.source}: {num_frames} frames of {width}×{height}, {self.num_repeated} repeated)"
