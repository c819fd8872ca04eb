"""Coded clips whose pictures are stored otherwise than displayed: turned, squeezed, cropped, deep, see-through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media.coded_clips import (
    HEIGHT,
    WIDTH,
    Clip,
    ClipRecipe,
    Coding,
    add_stream,
    draw_number,
    encode,
    encoded_packets,
)
from tests.media.timing_clips import FRAME, H264, H264_NO_B, H265, MJPEG, MPEG2, MPEG4, VP9
from videoclf.media.frames import UInt8Array

MPEG2_IN_ORDER = replace(MPEG2, options={"g": "9", "bf": "0", "flags": "+low_delay"})
"""Otherwise FFmpeg's decoder loses the frame that it holds back when the size changes."""


def _rgb(picture: UInt8Array) -> Any:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")


def _clip(name: str, coding: Coding, *, width: int = WIDTH, height: int = HEIGHT) -> ClipRecipe:
    """A clip displayed as 96×64, whatever the size in which it is stored."""
    return ClipRecipe(name, lambda path: replace(encode(path, coding), width=width, height=height))


def _turned(name: str, degrees: int, coding: Coding = H264) -> ClipRecipe:
    """Stored so that turning it counter-clockwise by so many degrees puts it upright."""
    sideways = degrees % 180 == 90
    width, height = (HEIGHT, WIDTH) if sideways else (WIDTH, HEIGHT)
    turned = replace(
        coding,
        width=width,
        height=height,
        make_frame=lambda number, _width, _height: _rgb(np.rot90(draw_number(number), -degrees // 90)),
        prepare=lambda stream: stream.set_display_rotation(degrees),
    )
    return _clip(name, turned)


def _flipped(name: str, store: Callable[[UInt8Array], UInt8Array], matrix: tuple[int, int, int, int]) -> ClipRecipe:
    """Stored otherwise than any rotation could undo, with the display matrix that does: a, b, c and d, by which a
    stored place (x, y) is shown at (ax + cy, bx + dy)."""
    a, b, c, d = (part << 16 for part in matrix)
    height, width, _ = store(draw_number(0)).shape
    flipped = replace(
        H264,
        width=width,
        height=height,
        make_frame=lambda number, _width, _height: _rgb(store(draw_number(number))),
        prepare=lambda stream: stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30]),
    )
    return _clip(name, flipped)


def _squeezed(name: str, coding: Coding, aspect: Fraction) -> ClipRecipe:
    """Of pixels that are not square: stored narrower, or lower, than displayed."""

    def prepare(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = aspect

    width = int(WIDTH / aspect) if aspect > 1 else WIDTH
    height = int(HEIGHT * aspect) if aspect < 1 else HEIGHT
    return _clip(name, replace(coding, width=width, height=height, prepare=prepare))


def _wide_by_container(name: str) -> ClipRecipe:
    """VP9 knows nothing of its pixels' shape; Matroska says how wide the picture is to be shown."""

    def make(path: Path) -> Clip:
        clip = encode(path, replace(VP9, width=WIDTH // 2))
        display_unit_unknown, display_width = b"\x54\xb2\x81\x04", b"\x54\xb0\x81" + bytes([WIDTH])
        path.write_bytes(path.read_bytes().replace(display_unit_unknown, display_width))
        return replace(clip, width=WIDTH)

    return ClipRecipe(name, make)


TURNED_CLIPS = [
    _turned("turned-90.mp4", 90),
    _turned("turned-180.mp4", 180),
    _turned("turned-270.mp4", 270),
    _turned("turned-90.mov", 90, MJPEG),
    _turned("turned-90.mkv", 90),
    _turned("turned-90-h265.mp4", 90, H265),
    _flipped("mirrored.mp4", lambda picture: picture[:, ::-1], (-1, 0, 0, 1)),
    _flipped("mirrored-rows.mp4", lambda picture: picture[::-1], (1, 0, 0, -1)),
    _flipped("transposed.mp4", lambda picture: picture.transpose(1, 0, 2), (0, 1, 1, 0)),
    _flipped("transposed-180.mp4", lambda picture: np.rot90(picture, 2).transpose(1, 0, 2), (0, -1, -1, 0)),
]

SQUEEZED_CLIPS = [
    _squeezed("narrow.mp4", H264, Fraction(2)),
    _wide_by_container("narrow.mkv"),
    _squeezed("narrow-h264.mkv", H264, Fraction(2)),
    _squeezed("narrow.ts", H264, Fraction(3, 2)),
    _squeezed("narrow.avi", MPEG4, Fraction(3, 2)),
    _squeezed("narrow.mov", MJPEG, Fraction(2)),
    _squeezed("low.mp4", H264, Fraction(1, 2)),
    _squeezed("low.mkv", H264, Fraction(1, 2)),
]


def _sized(suffix: str, coding: Coding, width: int, height: int) -> ClipRecipe:
    sized = replace(coding, width=width, height=height)
    return _clip(f"sized-{coding.encoder}-{width}x{height}.{suffix}", sized, width=width, height=height)


SIZE_CLIPS = [
    _sized("mp4", H264, 102, 70),
    _sized("ts", H264, 98, 66),
    _sized("mp4", H265, 102, 70),
    _sized("avi", MPEG4, 101, 67),
    _sized("webm", VP9, 101, 67),
    _sized("avi", MJPEG, 101, 67),
    _sized("mkv", Coding(encoder="ffv1", pixel_format="yuv444p"), 97, 65),
    _sized("mp4", H264, 480, 320),
]


def _changes(name: str, first: Coding, *others: Coding) -> ClipRecipe:
    """Recordings of several kinds, one after the other in a single stream; each 8 frames long."""

    def make(path: Path) -> Clip:
        with av.open(str(path), "w", format=first.muxer) as container:
            stream = add_stream(container, first, FRAME)
            for packet in encoded_packets(stream, first, range(8), range(8), FRAME):
                container.mux(packet)
            for part, coding in enumerate(others, 1):
                numbers = range(8 * part, 8 * part + 8)
                with av.open("/dev/null", "w", format="null") as nowhere:
                    other = add_stream(nowhere, coding, FRAME)
                    for packet in encoded_packets(other, coding, numbers, numbers, FRAME):
                        packet.stream = stream
                        container.mux(packet)
        numbers = range(8 + 8 * len(others))
        appear_seconds = tuple(number / 25 for number in numbers)
        return Clip(path, tuple(numbers), appear_seconds, len(numbers) / 25, first.width, first.height)

    return ClipRecipe(name, make)


def _of_size(coding: Coding, width: int, height: int) -> Coding:
    return replace(coding, width=width, height=height)


CHANGE_CLIPS = [
    _changes("grows.h264", H264_NO_B, _of_size(H264_NO_B, 192, 128)),
    _changes("grows.ts", H264_NO_B, _of_size(H264_NO_B, 192, 128)),
    _changes("shrinks.ts", _of_size(H264, 192, 128), H264),
    _changes("grows-and-shrinks.ts", H264, _of_size(H264, 192, 128), H264),
    _changes("changes-shape.ts", H264, _of_size(H264, 64, 96)),
    _changes("grows-mpeg2.ts", MPEG2_IN_ORDER, _of_size(MPEG2_IN_ORDER, 192, 128)),
    _changes("becomes-interlaced.ts", H264, replace(H264, options={"x264-params": "interlaced=1:tff=1"})),
    _changes("grows-mjpeg.avi", MJPEG, _of_size(MJPEG, 192, 128)),
    _changes("grows.mkv", VP9, _of_size(VP9, 192, 128)),
]


def _format(suffix: str, encoder: str, pixel_format: str, bit_rate: int = 2_000_000, **options: str) -> ClipRecipe:
    coding = Coding(encoder=encoder, pixel_format=pixel_format, bit_rate=bit_rate, options=options)
    return _clip(f"{encoder}-{pixel_format}.{suffix}", coding)


_QUIET: Any = {"x265-params": "log-level=none"}

FORMAT_CLIPS = [
    _format("mp4", "libx264", "yuv422p"),
    _format("mp4", "libx264", "yuv444p"),
    _format("mp4", "libx264", "yuv420p10le"),
    _format("mkv", "libx264", "yuv422p10le"),
    _format("mkv", "libx264", "yuv444p10le"),
    _format("mp4", "libx265", "yuv420p10le", **_QUIET),
    _format("mp4", "libx265", "yuv422p12le", **_QUIET),
    _format("mp4", "libx265", "gbrp", **_QUIET),
    _format("webm", "libvpx-vp9", "yuv444p"),
    _format("mp4", "libsvtav1", "yuv420p10le", preset="8", crf="15", bit_rate=0),
    _format("mkv", "ffv1", "yuv422p10le"),
    _format("mkv", "ffv1", "yuv444p16le"),
    _format("mkv", "ffv1", "gbrp10le"),
    _format("mkv", "ffv1", "bgr0"),
    _format("avi", "rawvideo", "yuyv422"),
    _format("avi", "rawvideo", "bgr24"),
    _format("nut", "rawvideo", "rgb48le"),
    _format("nut", "rawvideo", "nv12"),
    _format("mov", "v410", "yuv444p10le"),
    _format("mov", "png", "rgb48be"),
]


def _see_through(number: int, width: int, height: int) -> Any:
    """Half transparent everywhere; the colours stand as they are."""
    alpha = np.full((height, width, 1), 128, np.uint8)
    picture = np.concatenate([draw_number(number, width, height), alpha], axis=2)
    return av.VideoFrame.from_ndarray(picture, format="rgba")


def _alpha(suffix: str, encoder: str, pixel_format: str, **options: str) -> ClipRecipe:
    coding = Coding(encoder=encoder, pixel_format=pixel_format, options=options, make_frame=_see_through)
    return _clip(f"alpha-{encoder}-{pixel_format}.{suffix}", coding)


def _places_in_a_palette(number: int, width: int, height: int) -> Any:
    """The colours of a picture as a table and each pixel as a place in it."""
    colours, places = np.unique(draw_number(number, width, height).reshape(-1, 3), axis=0, return_inverse=True)
    table = np.zeros((256, 4), np.uint8)
    table[:, 0] = 255
    table[: len(colours), 1:] = colours
    picture: Any = (places.reshape(height, width).astype(np.uint8), table)
    return av.VideoFrame.from_ndarray(picture, format="pal8")


def _paletted(suffix: str, encoder: str) -> ClipRecipe:
    coding = Coding(encoder=encoder, pixel_format="pal8", make_frame=_places_in_a_palette)
    return _clip(f"palette-{encoder}.{suffix}", coding)


ALPHA_CLIPS = [
    _alpha("mov", "prores_ks", "yuva444p10le"),
    _alpha("webm", "libvpx-vp9", "yuva420p"),
    _alpha("mkv", "ffv1", "yuva420p"),
    _alpha("mkv", "ffv1", "bgra"),
    _alpha("mov", "png", "rgba"),
    _alpha("mov", "qtrle", "argb"),
    _alpha("avi", "utvideo", "gbrap"),
    _paletted("gif", "gif"),
    _paletted("mov", "png"),
    _paletted("mov", "smc"),
    _paletted("avi", "msrle"),
    _paletted("avi", "rawvideo"),
]

PICTURE_CLIPS = [*TURNED_CLIPS, *SQUEEZED_CLIPS, *SIZE_CLIPS, *CHANGE_CLIPS, *FORMAT_CLIPS, *ALPHA_CLIPS]
