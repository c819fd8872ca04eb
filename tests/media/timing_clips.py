"""Coded clips whose stamps, headers or packets are not those of a plain constant-rate file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np

from tests.media.coded_clips import Clip, ClipRecipe, Coding, encode

MILLISECOND = Fraction(1, 1000)
FRAME = Fraction(1, 25)

H264 = Coding(encoder="libx264", options={"g": "12", "bf": "3"})
H264_NO_B = Coding(encoder="libx264", options={"g": "12", "bf": "0"})
H265 = Coding(encoder="libx265", options={"x265-params": "log-level=none:keyint=8:bframes=3"})
MPEG2 = Coding(encoder="mpeg2video", options={"g": "9", "bf": "2"})
MPEG4 = Coding(encoder="mpeg4", options={"g": "9", "bf": "2"})
MJPEG = Coding(encoder="mjpeg", pixel_format="yuvj420p")
VP9 = Coding(encoder="libvpx-vp9", options={"g": "12", "cpu-used": "5"})
GIF = Coding(encoder="gif", pixel_format="rgb8")

_GAPS = (40, 40, 20, 100, 40, 2000, 10, 80, 170, 120, 80, 40, 40, 500, 30, 40, 30, 20, 60, 300, 40, 40, 40)
_IRREGULAR = tuple(accumulate(_GAPS, initial=0))
"""Milliseconds: from 10 ms to 2 s between frames."""
_HOLES = (0, 1, 2, 5, 6, 7, 8, 20, 21, 22, 30, 31, 33, 35, 36)
"""Frames, of 1/25 s, that a file has; between them it shows the last one longer."""


def _stamped(name: str, coding: Coding, stamps: Sequence[int], time_base: Fraction) -> ClipRecipe:
    return ClipRecipe(
        name,
        lambda path: encode(path, coding, numbers=range(len(stamps)), stamps=stamps, time_base=time_base),
    )


def _irregular(suffix: str, coding: Coding) -> ClipRecipe:
    return _stamped(f"irregular-{coding.encoder}.{suffix}", coding, _IRREGULAR, MILLISECOND)


def _late(suffix: str, coding: Coding) -> ClipRecipe:
    return _stamped(f"starts-at-5s-{coding.encoder}.{suffix}", coding, range(125, 149), FRAME)


def _muxed(coding: Coding, **options: str) -> Coding:
    return replace(coding, muxer_options=options)


IRREGULAR_CLIPS = [
    _irregular("mp4", H264),
    _irregular("mp4", H265),
    _irregular("mp4", MPEG4),
    _irregular("mov", MJPEG),
    _irregular("mkv", H264),
    _irregular("mkv", VP9),
    _irregular("webm", VP9),
    _irregular("ts", H264),
    _irregular("flv", H264),
    _irregular("nut", H264),
    _irregular("wmv", Coding(encoder="wmv2")),
    _irregular("ivf", VP9),
    _stamped("irregular-gif.gif", GIF, _IRREGULAR, MILLISECOND),
    _stamped(
        "irregular-fragmented.mp4",
        _muxed(H264, movflags="frag_keyframe+empty_moov+default_base_moof"),
        _IRREGULAR,
        MILLISECOND,
    ),
    _stamped("holes.avi", replace(MPEG4, options={"g": "9", "bf": "0"}), _HOLES, FRAME),
    _stamped("holes-mjpeg.avi", MJPEG, _HOLES, FRAME),
    _stamped("holes.ts", MPEG2, _HOLES, FRAME),
]

_WRAP = (1 << 33) - 10 * 3600
"""A transport stream's 33-bit stamps start again ten frames later."""

START_CLIPS = [
    _late("mp4", H264),
    _late("mkv", H264),
    _late("ts", H264),
    _late("ts", MPEG2),
    _late("flv", H264),
    _late("nut", H264),
    _late("mov", MJPEG),
    _stamped("no-edit-list.mp4", _muxed(H264, use_editlist="0"), range(24), FRAME),
    _stamped("no-edit-list-late.mp4", _muxed(H264, use_editlist="0"), range(125, 149), FRAME),
    _stamped(
        "negative-no-edit-list.mp4",
        _muxed(H264, avoid_negative_ts="disabled", use_editlist="0", movflags="negative_cts_offsets"),
        range(24),
        FRAME,
    ),
    _stamped(
        "stamps-start-again.ts",
        _muxed(H264, mpegts_copyts="1"),
        range(_WRAP, _WRAP + 24 * 3600, 3600),
        Fraction(1, 90000),
    ),
]


def _patched(name: str, coding: Coding, patch: Callable[[bytearray], None], **kept: slice) -> ClipRecipe:
    """A clip whose bytes are changed after it was written; `kept` says which frames it then shows, if not all."""

    def make(path: Path) -> Clip:
        clip = encode(path, coding)
        content = bytearray(path.read_bytes())
        patch(content)
        path.write_bytes(content)
        return part_of(clip, kept["kept"]) if kept else clip

    return ClipRecipe(name, make)


def part_of(clip: Clip, kept: slice) -> Clip:
    """What a clip shows of which only some consecutive frames are on display."""
    appear = np.array([*clip.appear_seconds, clip.end_seconds])
    start, stop, _ = kept.indices(len(clip.numbers))
    return replace(
        clip,
        numbers=clip.numbers[kept],
        appear_seconds=tuple((appear[start:stop] - appear[start]).tolist()),
        end_seconds=float(appear[stop] - appear[start]),
    )


def _box(content: bytearray, kind: bytes) -> int:
    """Where a box's payload begins, after its version and flags (MP4)."""
    place = content.index(kind)
    if content[place + 4] != 0:
        raise ValueError(f"{kind!r} is of another version than 0")
    return place + 8


def _scale(content: bytearray, place: int, factor: float, number: str) -> None:
    (value,) = struct.unpack_from(number, content, place)
    struct.pack_into(number, content, place, type(value)(value * factor))


def _mp4_claims(factor: float, content: bytearray) -> None:
    for kind, offset in ((b"mvhd", 12), (b"tkhd", 16), (b"mdhd", 12)):
        _scale(content, _box(content, kind) + offset, factor, ">I")


def _avi_claims(factor: float, content: bytearray) -> None:
    _scale(content, content.index(b"avih") + 8 + 16, factor, "<I")  # dwTotalFrames
    _scale(content, content.index(b"strh") + 8 + 32, factor, "<I")  # dwLength


def _mkv_claims(factor: float, content: bytearray) -> None:
    _scale(content, content.index(b"\x44\x89\x88") + 3, factor, ">d")  # Duration


def _edit(content: bytearray, *, skipped_frames: int, num_frames: int | None = None) -> None:
    """Change an MP4's one edit: what it shows begins so many frames in, and lasts so many."""
    (timescale,) = struct.unpack_from(">I", content, _box(content, b"mdhd") + 8)
    (movie_timescale,) = struct.unpack_from(">I", content, _box(content, b"mvhd") + 8)
    (num_edits, duration, media_time) = struct.unpack_from(">IIi", content, _box(content, b"elst"))
    if num_edits != 1:
        raise ValueError(f"expected one edit, found {num_edits}")
    duration -= skipped_frames * movie_timescale // 25
    if num_frames is not None:
        duration = num_frames * movie_timescale // 25
    media_time += skipped_frames * timescale // 25
    struct.pack_into(">Ii", content, _box(content, b"elst") + 4, duration, media_time)


def _without_index(content: bytearray) -> None:
    content[content.rindex(b"idx1") :] = b""


HEADER_CLIPS = [
    _patched("claims-ten-times.mp4", H264, partial(_mp4_claims, 10)),
    _patched("claims-half.mp4", H264, partial(_mp4_claims, 0.5)),
    _patched("claims-ten-times.avi", MPEG4, partial(_avi_claims, 10)),
    _patched("claims-half.avi", MPEG4, partial(_avi_claims, 0.5)),
    _patched("claims-nothing.avi", MPEG4, partial(_avi_claims, 0)),
    _patched("claims-ten-times.mkv", H264, partial(_mkv_claims, 10)),
    _patched("claims-a-third.mkv", H264, partial(_mkv_claims, 1 / 3)),
    _patched("no-index.avi", MPEG4, _without_index),
    _patched("edit-skips-key.mp4", H264, partial(_edit, skipped_frames=12), kept=slice(12, None)),
    _patched("edit-skips-within-gop.mp4", H264, partial(_edit, skipped_frames=7), kept=slice(7, None)),
    _patched("edit-skips-within-gop.mov", H264_NO_B, partial(_edit, skipped_frames=5), kept=slice(5, None)),
    _patched("edit-ends-early.mp4", H264_NO_B, partial(_edit, skipped_frames=0, num_frames=17), kept=slice(0, 17)),
    _patched("edit-both.mp4", H264_NO_B, partial(_edit, skipped_frames=3, num_frames=17), kept=slice(3, 20)),
]

TIMING_CLIPS = [*IRREGULAR_CLIPS, *START_CLIPS, *HEADER_CLIPS]
