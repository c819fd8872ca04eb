"""Decoded colours are those that were filmed, whatever matrix and range a file stores them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.media.coded_clips import Coding, encode
from tests.media.decoders import DECODERS, read
from videoclf.media.frames import UInt8Array
from videoclf.media.options import DecoderName
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

TOLERANCE = 4
"""Of 255: rounding to 8 bits as luma and chroma costs up to 2, the conversion back another 1 or 2. A wrong matrix or
range is off by 15 and more."""

PATCH = 16
LEVELS = (40, 128, 215)
COLOURS = np.array([(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS][:24], np.uint8).reshape(4, 6, 3)


@dataclass(frozen=True)
class Matrix:
    """How luma is mixed (the weights of red and blue), and FFmpeg's number for it."""

    name: str
    red: float
    blue: float
    ffmpeg_number: int

    def __str__(self) -> str:
        return self.name


BT601 = Matrix("bt601", 0.299, 0.114, 6)
BT709 = Matrix("bt709", 0.2126, 0.0722, 1)
BT2020 = Matrix("bt2020", 0.2627, 0.0593, 9)
LIMITED, FULL = 1, 2
"""FFmpeg's numbers for a luma from 16 to 235, and from 0 to 255."""


def yuv_planes(rgb: UInt8Array, matrix: Matrix, colour_range: int) -> list[UInt8Array]:
    """Luma and halved chroma by the standards' own formulas (ITU-R BT.601, BT.709, BT.2020; 8 bits)."""
    red, green, blue = np.moveaxis(rgb.astype(np.float64) / 255, -1, 0)
    y = matrix.red * red + (1 - matrix.red - matrix.blue) * green + matrix.blue * blue
    u = (blue - y) / (2 * (1 - matrix.blue))
    v = (red - y) / (2 * (1 - matrix.red))
    luma_scale, luma_offset, chroma_scale = (219, 16, 224) if colour_range == LIMITED else (255, 0, 255)
    planes = [luma_scale * y + luma_offset, chroma_scale * u[::2, ::2] + 128, chroma_scale * v[::2, ::2] + 128]
    return [np.clip(plane.round(), 0, 255).astype(np.uint8) for plane in planes]


def write_patches(path: Path, encoder: str, options: Mapping[str, str], matrix: Matrix, colour_range: int) -> None:
    """A clip of 24 colours, encoded without loss and tagged with its matrix and range."""
    picture = COLOURS.repeat(PATCH, axis=0).repeat(PATCH, axis=1)
    planes = yuv_planes(picture, matrix, colour_range)

    def make_frame(_number: int, width: int, height: int) -> Any:
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, values in zip(frame.planes, planes, strict=True):
            padded = np.zeros((plane.height, plane.line_size), np.uint8)
            padded[:, : plane.width] = values
            plane.update(padded.tobytes())
        frame.colorspace, frame.color_range = matrix.ffmpeg_number, colour_range
        return frame

    def tag(stream: Any) -> None:
        stream.codec_context.colorspace = matrix.ffmpeg_number
        stream.codec_context.color_range = colour_range

    coding = Coding(encoder=encoder, options=options, make_frame=make_frame, prepare=tag, bit_rate=0)
    encode(path, coding, numbers=range(3))


def decoded_patches(path: Path, decoder: DecoderName) -> UInt8Array:
    """``4×6×3``: the colours in the patches' middles."""
    frame = read(path, decoder, SamplingPlan(np.array([0.04]), 25))[0]
    return frame.rgb[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("colour_range", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [BT601, BT709, BT2020], ids=str)
@pytest.mark.parametrize(
    ("name", "encoder", "options"),
    [
        ("h264.mp4", "libx264", {"qp": "0"}),
        ("h265.mkv", "libx265", {"x265-params": "lossless=1:log-level=none"}),
        ("vp9.webm", "libvpx-vp9", {"lossless": "1"}),
        ("ffv1.mkv", "ffv1", {}),
    ],
)
def test_colours_come_back(
    tmp_path: Path,
    name: str,
    encoder: str,
    options: Mapping[str, str],
    matrix: Matrix,
    colour_range: int,
    decoder: DecoderName,
) -> None:
    write_patches(tmp_path / name, encoder, options, matrix, colour_range)
    error = np.abs(decoded_patches(tmp_path / name, decoder).astype(int) - COLOURS)
    assert error.max() <= TOLERANCE, f"worst channel is off by {error.max()}"


@pytest.mark.parametrize("decoder", DECODERS)
def test_full_range_jpeg_colours_come_back(tmp_path: Path, decoder: DecoderName) -> None:
    picture = COLOURS.repeat(PATCH, axis=0).repeat(PATCH, axis=1)
    coding = Coding(
        encoder="mjpeg",
        pixel_format="yuvj420p",
        options={"qmin": "1", "qmax": "1"},
        make_frame=lambda _number, _width, _height: av.VideoFrame.from_ndarray(picture, format="rgb24"),
    )
    encode(tmp_path / "clip.mov", replace(coding, bit_rate=20_000_000), numbers=range(3))
    error = np.abs(decoded_patches(tmp_path / "clip.mov", decoder).astype(int) - COLOURS)
    assert error.max() <= 2 * TOLERANCE  # JPEG loses some


@pytest.mark.parametrize("colour_range", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [BT601, BT709, BT2020], ids=str)
def test_planes_come_as_they_are_stored_with_what_converts_them(
    tmp_path: Path, matrix: Matrix, colour_range: int
) -> None:
    write_patches(tmp_path / "clip.mp4", "libx264", {"qp": "0"}, matrix, colour_range)
    with Video(tmp_path / "clip.mp4", num_threads=1) as video:
        planes = next(video.yuv_frames(SamplingPlan(np.array([0.04]), 25))).planes
    stored = yuv_planes(COLOURS.repeat(PATCH, axis=0).repeat(PATCH, axis=1), matrix, colour_range)
    for plane, expected in zip((planes.y, planes.u, planes.v), stored, strict=True):
        assert np.array_equal(plane, expected)
    assert (planes.matrix, planes.is_full_range) == (matrix.name, colour_range == FULL)
