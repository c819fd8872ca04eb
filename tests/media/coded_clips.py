"""Clips that tell, whatever a codec does to them, which frame a decoded picture is.

A picture is 6 × 4 cells: ten hold the bits of the frame's code, ten their opposites, the corners are red, green, blue
and grey:

    R  0  1  2  3  G        n: bit n of the code, black or white
    4  5  6  7  8  9
    4' 5' 6' 7' 8' 9'       n': its opposite
    B  0' 1' 2' 3' ·

So a blend of two frames, a torn or smeared one, a turned, mirrored or cropped one, or one whose colours are swapped,
is not readable as a number at all. Consecutive numbers have codes far apart, so that no frame resembles its neighbour.
Cells are found by their share of the picture: a picture may be scaled, and squeezed for pixels that are not square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videoclf.media.frames import UInt8Array

NUM_COLUMNS, NUM_ROWS = 6, 4
NUM_CODES = 1024
_SCATTER = 397
"""Odd, so that multiplying by it modulo 1024 only reorders the numbers: neighbours differ in many bits."""
_CELLS = [(0, 1 + bit) if bit < 4 else (1, bit - 4) for bit in range(10)]
_OPPOSITE_CELLS = [(NUM_ROWS - 1 - row, column) for row, column in _CELLS]
_CELL_INDEX, _OPPOSITE_INDEX = (tuple(np.array(cells).T) for cells in (_CELLS, _OPPOSITE_CELLS))
_CORNERS = {(0, 0): (220, 40, 40), (0, 5): (40, 200, 40), (3, 0): (40, 40, 220), (3, 5): (128, 128, 128)}
WIDTH, HEIGHT = 96, 64


class UnreadableError(AssertionError):
    """A decoded picture that is not one whole, upright frame of a coded clip."""


def draw_number(number: int, width: int = WIDTH, height: int = HEIGHT) -> UInt8Array:
    """``H×W×3``: the picture of a frame's number."""
    code = number * _SCATTER % NUM_CODES
    cells = np.zeros((NUM_ROWS, NUM_COLUMNS, 3), np.uint8)
    for bit, (cell, opposite) in enumerate(zip(_CELLS, _OPPOSITE_CELLS, strict=True)):
        cells[cell] = 235 if code >> bit & 1 else 16
        cells[opposite] = 16 if code >> bit & 1 else 235
    for cell, colour in _CORNERS.items():
        cells[cell] = colour
    rows, columns = np.arange(height) * NUM_ROWS // height, np.arange(width) * NUM_COLUMNS // width
    return cells[:, columns][rows]


def read_number(rgb: UInt8Array) -> int:
    """The number of a decoded frame (``H×W×3``).

    Raises:
        UnreadableError: the picture is no single upright frame.
    """
    cells = _cell_colours(rgb)
    red, green, blue, grey = (cells[corner] for corner in _CORNERS)
    for channel, corner in enumerate((red, green, blue)):
        if corner[channel] - np.delete(corner, channel).max() < 50:
            raise UnreadableError(f"a corner should be {('red', 'green', 'blue')[channel]}, is {corner.round()}")
    if max(grey) - min(grey) > 50:
        raise UnreadableError(f"the corner lower right should be grey, is {grey.round()}")
    contrasts = cells[_CELL_INDEX].mean(axis=-1) - cells[_OPPOSITE_INDEX].mean(axis=-1)
    if abs(contrasts).min() < 120:
        raise UnreadableError(f"bits and their opposites differ by {contrasts.round()} of ±219: a blend or damage")
    code = sum(int(contrast > 0) << bit for bit, contrast in enumerate(contrasts))
    return code * pow(_SCATTER, -1, NUM_CODES) % NUM_CODES


def _cell_colours(rgb: UInt8Array) -> Any:
    """``4×6×3``: the mean of nine pixels from each cell's middle, where no codec lets its neighbours bleed in."""
    height, width, _ = rgb.shape
    inner = np.array([0.4, 0.5, 0.6])
    rows = ((np.arange(NUM_ROWS)[:, None] + inner) * height / NUM_ROWS).astype(int).ravel()
    columns = ((np.arange(NUM_COLUMNS)[:, None] + inner) * width / NUM_COLUMNS).astype(int).ravel()
    pixels = rgb[rows[:, None], columns].reshape(NUM_ROWS, 3, NUM_COLUMNS, 3, 3)
    return pixels.mean(axis=(1, 3))


@dataclass(frozen=True)
class Clip:
    """What a file shows, known because it was made so."""

    path: Path
    numbers: tuple[int, ...]
    """The frames in the order of display."""
    appear_seconds: tuple[float, ...]
    """When each comes on display, counted from the first."""
    end_seconds: float
    """When the last one leaves."""
    width: int = WIDTH
    """As displayed: pixels square, rotation applied."""
    height: int = HEIGHT

    def number_at(self, moment_seconds: float) -> int:
        """The frame on display: the last that appeared by then."""
        return self.numbers[self.index_at(moment_seconds)]

    def index_at(self, moment_seconds: float) -> int:
        """Its place in the order of display."""
        return int(np.searchsorted(self.appear_seconds, moment_seconds + 1e-9, side="right")) - 1


@dataclass(frozen=True)
class ClipRecipe:
    """How a clip is made; its name is that of the file."""

    name: str
    make: Callable[[Path], Clip]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How frames are encoded and put into a file."""

    encoder: str
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=dict)
    fps: Fraction = Fraction(25)
    width: int = WIDTH
    height: int = HEIGHT
    displayed_width: int | None = None
    """Where pixels are not square."""
    bit_rate: int = 2_000_000
    """Plenty: what is tested is which frame it is, not how well it looks."""
    muxer: str | None = None
    """None: as the file's name says."""
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    make_frame: Callable[[int, int, int], Any] | None = None
    """From a number, a width and a height, what is encoded; None for `draw_number` as RGB."""
    prepare: Callable[[Any], None] | None = None
    """Given the stream before anything is encoded."""


def encode(
    path: Path,
    coding: Coding,
    *,
    numbers: Sequence[int] = range(24),
    stamps: Sequence[int] | None = None,
    time_base: Fraction | None = None,
) -> Clip:
    """Encode numbered frames, at the coding's rate or at the given stamps (in the time base), into one file."""
    with av.open(str(path), "w", format=coding.muxer, options=dict(coding.muxer_options)) as container:
        stream = add_stream(container, coding, time_base)
        for packet in encoded_packets(stream, coding, numbers, stamps, time_base):
            container.mux(packet)
    appear_seconds, end_seconds = _times(coding, len(numbers), stamps, time_base)
    width = coding.displayed_width or coding.width
    return Clip(path, tuple(numbers), appear_seconds, end_seconds, width, coding.height)


def add_stream(container: Any, coding: Coding, time_base: Fraction | None = None) -> Any:
    """A stream of the coding, not yet open."""
    stream = container.add_stream(coding.encoder, rate=coding.fps, options=dict(coding.options))
    stream.width, stream.height, stream.pix_fmt = coding.width, coding.height, coding.pixel_format
    if coding.bit_rate:
        stream.bit_rate = coding.bit_rate
    stream.codec_context.thread_count = 1
    if time_base is not None:
        stream.codec_context.time_base = time_base
    if coding.prepare is not None:
        coding.prepare(stream)
    return stream


def encoded_packets(
    stream: Any,
    coding: Coding,
    numbers: Sequence[int],
    stamps: Sequence[int] | None = None,
    time_base: Fraction | None = None,
) -> Iterator[Any]:
    """The packets of numbered frames."""
    for index, number in enumerate(numbers):
        frame = (coding.make_frame or _rgb_frame)(number, coding.width, coding.height)
        if stamps is not None:
            frame.pts, frame.time_base = stamps[index], time_base
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _rgb_frame(number: int, width: int, height: int) -> Any:
    return av.VideoFrame.from_ndarray(draw_number(number, width, height), format="rgb24")


def _times(
    coding: Coding, num_frames: int, stamps: Sequence[int] | None, time_base: Fraction | None
) -> tuple[tuple[float, ...], float]:
    """When each frame appears, and when the last one leaves: after its own time or, unknown that, the shortest."""
    if stamps is None or time_base is None:
        return tuple(float(n / coding.fps) for n in range(num_frames)), float(num_frames / coding.fps)
    appear = tuple(float((stamp - stamps[0]) * time_base) for stamp in stamps)
    return appear, appear[-1] + min(np.diff(appear), default=1 / float(coding.fps))
