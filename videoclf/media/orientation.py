"""Reads the rotation that a file requires: the display matrix of its container, EXIF data or codec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

_LARGEST_DEVIATION = math.sin(math.radians(1))
"""Up to one degree off a quarter turn is rounding, as FFmpeg's own tools have it."""

_LARGEST_SCALE_ERROR = 0.01

_UNKNOWN_KINDS = sorted(set(range(64)) - {kind.value for kind in SideDataType})
"""Side data that PyAV has no name for (EXIF, for one); FFmpeg counts its kinds up from 0, and had 33 in version 8."""


@dataclass(frozen=True)
class Orientation:
    """How a stored frame is rotated and mirrored for display."""

    rotation_degrees: int = 0
    """Counter-clockwise: 0, 90, 180 or 270."""
    is_mirrored: bool = False
    """Columns are reversed before the rotation."""
    ignored: str = ""
    """Display instructions that are not followed, as text; empty if there are none."""
    ignored_aspect: float | None = None
    """The pixel aspect ratio that FFmpeg derives from the ignored instructions."""

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """The orientation that a frame's display matrix requires.

        A matrix that does not rotate by a multiple of 90°, or that is invalid (zeros, as some muxers write them), is
        ignored and reported: the frame stays as stored. A scale is ignored and reported too, because the pixel aspect
        ratio is taken from the container.
        """
        matrix = _display_matrix(frame)
        return cls() if matrix is None else _orientation(matrix)


def _orientation(matrix: Sequence[int]) -> Orientation:
    """Of 3×3 numbers in rows: a stored place (x, y) is displayed at (ax + cy, bx + dy), the rows being a b u, c d v."""
    a, b, u, c, d, v = (number / 65536 for number in matrix[:6])
    scales = math.hypot(a, b), math.hypot(c, d)
    text = "a display matrix of " + " ".join(f"{number:g}" for number in (a, b, c, d))
    if min(scales) == 0:
        return Orientation(ignored=f"{text}, which is invalid,")
    across = (abs(b) / scales[0], abs(c) / scales[1])
    along = (abs(a) / scales[0], abs(d) / scales[1])
    is_distorted = (u, v) != (0, 0) or min(max(across), max(along)) > _LARGEST_DEVIATION
    if is_distorted:
        widths, heights = math.hypot(a, c), math.hypot(b, d)
        aspect = widths / heights if heights else None
        return Orientation(ignored=f"{text}, which is not a rotation by a multiple of 90°,", ignored_aspect=aspect)
    is_mirrored = a * d - b * c < 0
    rotation_degrees = round(-math.degrees(math.atan2(b, a)) / 90) * 90
    # unequal scales are a shape of pixels, which FFmpeg tells as such
    is_scaled = max(abs(scale - 1) for scale in scales) > _LARGEST_SCALE_ERROR
    is_scaled &= abs(scales[0] / scales[1] - 1) <= _LARGEST_SCALE_ERROR
    ignored = f"the scale of {text}" if is_scaled else ""
    return Orientation((rotation_degrees + 180 * is_mirrored) % 360, is_mirrored, ignored)


def _display_matrix(frame: av.VideoFrame) -> list[int] | None:
    """Nine numbers in rows; None where there is none."""
    try:
        all_side_data: Any = frame.side_data
    except ValueError:  # PyAV lists none at all where one is of a kind that it does not know
        all_side_data = _without_unknown_side_data(frame).side_data
    side_data = all_side_data.get(SideDataType.DISPLAYMATRIX)
    if side_data is None:
        return None
    return [int(number) for number in np.frombuffer(memoryview(side_data), dtype="<i4")[:9]]


def _without_unknown_side_data(frame: av.VideoFrame) -> av.VideoFrame:
    graph = av.filter.Graph()
    last: Any = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
    )
    for kind in _UNKNOWN_KINDS:
        deletion = graph.add("sidedata", f"mode=delete:type={kind}")
        last.link_to(deletion)
        last = deletion
    last.link_to(graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    bare = graph.pull()
    assert isinstance(bare, av.VideoFrame)
    return bare
