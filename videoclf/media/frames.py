"""The values that this package returns: the description of a video, and frames of it."""

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
    """What a file declares about its video stream, and what its packets show."""

    path: Path
    codec: str
    width: int
    """Columns as displayed: square pixels, rotation applied."""
    height: int
    """Rows as displayed."""
    rotation_degrees: int
    """Counter-clockwise rotation of the stored frame for display: 0, 90, 180 or 270."""
    start_seconds: float
    """Presentation time of the first frame. Sample times count from here."""
    duration_seconds: float
    """From the start of the first frame to the end of the last one, by the packets' timestamps if they have any."""
    average_fps: float
    """Frames per second over that time."""
    has_variable_fps: bool | None
    """Whether frames are spaced unevenly; None if packets have no timestamps."""


@dataclass(frozen=True)
class RgbFrame:
    """The frame at one sample time."""

    rgb: UInt8Array
    """``H×W×3`` in [0, 255]. A frame that is used for several sample times is the same array each time."""
    pts_seconds: float
    """When it is first shown, counted from the video's first frame."""


class ColourMatrix(StrEnum):
    """The matrix that converts luma and chroma to red, green and blue."""

    BT601 = "bt601"
    BT709 = "bt709"
    BT2020 = "bt2020"


@dataclass(frozen=True, repr=False)
class YuvPlanes:
    """A frame as it was decoded: 8-bit 4:2:0. It is converted, rotated and scaled where it is used."""

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
    """Counter-clockwise rotation for display: 0, 90, 180 or 270."""
    is_mirrored: bool
    """Whether its columns are reversed before the rotation."""
    display_width: int
    """Columns after rotation, with square pixels."""
    display_height: int

    def __repr__(self) -> str:
        height, width = self.y.shape
        return f"YuvPlanes({width}×{height}, {self.matrix}, {'full' if self.is_full_range else 'limited'} range)"


@dataclass(frozen=True, repr=False)
class YuvFrame:
    """The frame at one sample time."""

    planes: YuvPlanes
    """A frame that is used for several sample times is the same object each time."""
    pts_seconds: float
    """When it is first shown, counted from the video's first frame."""


@dataclass(frozen=True, repr=False)
class RgbFrames:
    """The frames at consecutive sample times of one video."""

    rgb: UInt8Array
    """``T×H×W×3`` in [0, 255]."""
    pts_seconds: Float64Array
    """``T``: when each frame is first shown, counted from the video's first frame. A repeated value is a repeated
    frame."""
    source: str
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rgb.ndim != 4 or self.rgb.shape[3] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(f"rgb must be uint8 T×H×W×3, got {self.rgb.dtype} {self.rgb.shape}")
        if self.pts_seconds.shape != self.rgb.shape[:1]:
            raise ValueError(f"{len(self.rgb)} frames but pts_seconds of shape {self.pts_seconds.shape}")

    @classmethod
    def stack(cls, frames: Sequence[RgbFrame], source: str, warnings: tuple[str, ...] = ()) -> RgbFrames:
        """Combine frames, at least one and all of the same size, into one value."""
        rgb = np.stack([frame.rgb for frame in frames])
        return cls(rgb, np.array([frame.pts_seconds for frame in frames], dtype=np.float64), source, warnings)

    @property
    def num_repeated(self) -> int:
        """Number of sample times with the same frame as the sample time before."""
        return int(np.count_nonzero(np.diff(self.pts_seconds) == 0))

    def __len__(self) -> int:
        return len(self.rgb)

    def __repr__(self) -> str:
        num_frames, height, width, _ = self.rgb.shape
        return f"RgbFrames({self.source}: {num_frames} frames of {width}×{height}, {self.num_repeated} repeated)"
