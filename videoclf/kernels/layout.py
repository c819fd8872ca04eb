"""Describes where the pixels of clips are in one buffer of bytes, and where they go in the network's input.

Frames of all sizes and formats are three planes (red, green, blue; or luma and two chroma). Each is described by an
offset, the bytes from row to row and the bytes from pixel to pixel. So one kernel reads them all, and one launch takes
clips of different sizes: each frame is a row of numbers in a table (`frame_table`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Self

import torch
from torch import Tensor

LUMA_WEIGHTS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"bt601": (2990, 1140), "bt709": (2126, 722), "bt2020": (2627, 593)}
)
"""Shares of red and of blue in luma, in ten-thousandths (ITU-R BT.601-7, BT.709-6, BT.2020-2): exact as integers."""


@dataclass(frozen=True)
class Colours:
    """How 8-bit luma and chroma are converted to red, green and blue."""

    matrix: str
    """One of `LUMA_WEIGHTS` (`media.frames.ColourMatrix` has the same names)."""
    is_full_range: bool = False
    """True: 0 to 255 throughout. False: luma from 16 to 235, chroma from 16 to 240."""

    def __post_init__(self) -> None:
        if self.matrix not in LUMA_WEIGHTS:
            raise ValueError(f"matrix = {self.matrix!r}: expected one of {', '.join(LUMA_WEIGHTS)}")


@dataclass(frozen=True)
class ClipLayout:
    """Where the frames of one clip are in a buffer of bytes. Built by `rgb`, `i420` or `nv12`."""

    num_frames: int
    height: int
    width: int
    frame_pitch: int
    """Bytes from one frame to the next."""
    offsets: tuple[int, int, int]
    """Offsets of the first frame's planes, in bytes from the buffer's start."""
    row_pitches: tuple[int, int]
    """Bytes from row to row, of the first plane and of the other two."""
    pixel_pitches: tuple[int, int]
    """Bytes from pixel to pixel, of the first plane and of the other two."""
    colours: Colours | None
    """None: RGB. Otherwise luma and chroma; chroma has half the size in both directions (4:2:0)."""

    @classmethod
    def rgb(cls, num_frames: int, height: int, width: int, *, offset: int = 0, row_pitch: int | None = None) -> Self:
        """``T×H×W×3``; rows may be padded to ``row_pitch`` bytes."""
        pitch = 3 * width if row_pitch is None else row_pitch
        offsets = (offset, offset + 1, offset + 2)
        return cls(num_frames, height, width, height * pitch, offsets, (pitch, pitch), (3, 3), None)

    @classmethod
    def i420(
        cls,
        num_frames: int,
        height: int,
        width: int,
        colours: Colours,
        *,
        offset: int = 0,
        row_pitch: int | None = None,
        chroma_pitch: int | None = None,
    ) -> Self:
        """For each frame ``H×W`` luma, then two chroma planes ``⌈H/2⌉×⌈W/2⌉``; rows may be padded to the pitches."""
        luma = width if row_pitch is None else row_pitch
        chroma = _half(luma) if chroma_pitch is None else chroma_pitch
        u = offset + height * luma
        v = u + _half(height) * chroma
        pitch = v + _half(height) * chroma - offset
        return cls(num_frames, height, width, pitch, (offset, u, v), (luma, chroma), (1, 1), colours)

    @classmethod
    def nv12(
        cls,
        num_frames: int,
        height: int,
        width: int,
        colours: Colours,
        *,
        offset: int = 0,
        row_pitch: int | None = None,
        chroma_row: int | None = None,
    ) -> Self:
        """For each frame ``H×W`` luma, then ``⌈H/2⌉×⌈W/2⌉`` pairs of chroma, in rows of one pitch.

        Hardware decoders pad the luma's rows as well: ``chroma_row`` is the row at which chroma begins.
        """
        pitch = 2 * _half(width) if row_pitch is None else row_pitch
        luma_rows = height if chroma_row is None else chroma_row
        u = offset + luma_rows * pitch
        frame_pitch = (luma_rows + _half(height)) * pitch
        return cls(num_frames, height, width, frame_pitch, (offset, u, u + 1), (pitch, pitch), (1, 2), colours)

    def moved(self, num_bytes: int) -> Self:
        """The same clip, this many bytes further on in the buffer."""
        first, second, third = self.offsets
        return replace(self, offsets=(first + num_bytes, second + num_bytes, third + num_bytes))

    @property
    def num_bytes(self) -> int:
        """The size that the buffer must have: one past the last byte that is read."""
        last_frame = (self.num_frames - 1) * self.frame_pitch
        chroma = (self.height, self.width) if self.colours is None else (_half(self.height), _half(self.width))
        return (
            1
            + last_frame
            + max(
                offset + (height - 1) * self.row_pitches[plane] + (width - 1) * self.pixel_pitches[plane]
                for offset, (height, width), plane in zip(
                    self.offsets, [(self.height, self.width), chroma, chroma], (0, 1, 1), strict=True
                )
            )
        )


def _half(length: int) -> int:
    return (length + 1) // 2


@dataclass(frozen=True)
class Placement:
    """Which part of a frame is resized, to which size, and where the crop begins in the result."""

    source_top: int
    source_left: int
    source_height: int
    source_width: int
    resized_height: int
    resized_width: int
    top: int
    left: int


@dataclass(frozen=True)
class Clip:
    """One clip of a launch."""

    layout: ClipLayout
    placement: Placement
    is_flipped: bool = False
    """Mirrored from left to right after the crop."""


@dataclass(frozen=True)
class FrameRow:
    """The description of one frame for the kernels: the columns of `frame_table`, in order."""

    first_row: int
    """Row of the clip's first frame."""
    last_row: int
    offset0: int
    offset1: int
    offset2: int
    row_pitch0: int
    row_pitch1: int
    pixel_pitch0: int
    pixel_pitch1: int
    source_top: int
    source_left: int
    source_height: int
    source_width: int
    resized_height: int
    resized_width: int
    top: int
    left: int
    is_flipped: int
    red_weight: int
    """From `LUMA_WEIGHTS`; 0 for RGB."""
    blue_weight: int
    is_full_range: int


COLUMNS = tuple(field.name for field in fields(FrameRow))


def frame_table(clips: Sequence[Clip], height: int, width: int, num_bytes: int) -> Tensor:
    """The rows of all frames of all clips, one after another.

    Bounds are checked here, because a kernel can only read the table, not refuse it.

    Args:
        clips: all RGB, or all luma and chroma.
        height: height of the crop, in pixels.
        width: width of the crop.
        num_bytes: size of the buffer.

    Returns:
        ``F×21`` int64 on the CPU; columns are `COLUMNS`.

    Raises:
        ValueError: there is no clip, RGB and YUV are mixed, a clip exceeds the buffer, or a crop exceeds its frame.
    """
    if not clips:
        raise ValueError("clips is empty: expected at least one")
    if len({clip.layout.colours is None for clip in clips}) > 1:
        raise ValueError("clips mix RGB and YUV: a launch accepts only one of them")
    rows: list[Tensor] = []
    num_rows = 0
    for clip in clips:
        _check(clip, height, width, num_bytes)
        layout, at = clip.layout, num_rows
        num_rows += layout.num_frames
        red, blue = (0, 0) if layout.colours is None else LUMA_WEIGHTS[layout.colours.matrix]
        is_full_range = layout.colours is None or layout.colours.is_full_range
        placed = [getattr(clip.placement, field.name) for field in fields(Placement)]
        first = [
            *(at, num_rows - 1, *layout.offsets, *layout.row_pitches, *layout.pixel_pitches, *placed),
            *(clip.is_flipped, red, blue, is_full_range),
        ]
        of_clip = torch.tensor(first, dtype=torch.int64).repeat(layout.num_frames, 1)
        of_clip[:, 2:5] += layout.frame_pitch * torch.arange(layout.num_frames)[:, None]
        rows.append(of_clip)
    return torch.cat(rows)


def frame_rows(table_FK: Tensor) -> list[FrameRow]:
    """The table's rows as named tuples (waits for the GPU if the table is there)."""
    return [FrameRow(*row) for row in table_FK.tolist()]


def _check(clip: Clip, height: int, width: int, num_bytes: int) -> None:
    layout, placement = clip.layout, clip.placement
    pitches = (*layout.row_pitches, *layout.pixel_pitches)
    if min(layout.num_frames, layout.height, layout.width, *pitches) < 1 or min(layout.offsets) < 0:
        raise ValueError(f"{layout}: frames, sizes and pitches must be at least 1, offsets at least 0")
    if layout.num_bytes > num_bytes:
        raise ValueError(f"{layout}: ends at byte {layout.num_bytes}, beyond the {num_bytes} bytes given")
    if max(layout.row_pitches) * layout.height >= 2**31:
        raise ValueError(f"{layout}: a plane has 2 GB or more; the kernels count its bytes in 32 bits")
    size = (layout.width, layout.height)
    for start, length, whole in (
        (placement.source_top, placement.source_height, layout.height),
        (placement.source_left, placement.source_width, layout.width),
        (placement.top, height, placement.resized_height),
        (placement.left, width, placement.resized_width),
    ):
        if start < 0 or length < 1 or start + length > whole:
            raise ValueError(f"{placement}: not within a frame of {size}, or too small for a crop of {(width, height)}")
