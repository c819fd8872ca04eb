"""Coded clips put together packet by packet: several streams, packed, doubled, missing or foreign packets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.media.coded_clips import Clip, ClipRecipe, Coding, add_stream, encode, encoded_packets
from tests.media.timing_clips import FRAME, GIF, H264, H265, MJPEG, MPEG2, MPEG4, VP9, part_of

FFV1 = Coding(encoder="ffv1")


def _single(suffix: str, coding: Coding) -> ClipRecipe:
    return ClipRecipe(f"single-{coding.encoder}.{suffix}", lambda path: encode(path, coding, numbers=[700]))


SINGLE_FRAME_CLIPS = [
    _single("mp4", H264),
    _single("mkv", H264),
    _single("ts", H264),
    _single("h264", H264),
    _single("hevc", H265),
    _single("avi", MJPEG),
    _single("avi", MPEG4),
    _single("mpg", replace(MPEG2, muxer="vob")),
    _single("webm", VP9),
    _single("gif", GIF),
]

ChangePackets = Callable[[Iterator[Any]], Iterable[Any]]


def _remade(path: Path, coding: Coding, change: ChangePackets, num_frames: int = 24) -> Clip:
    """A clip whose packets are changed between encoder and file."""
    numbers = range(num_frames)
    with av.open(str(path), "w", format=coding.muxer, options=dict(coding.muxer_options)) as container:
        stream = add_stream(container, coding)
        for packet in change(encoded_packets(stream, coding, numbers)):
            packet.stream = stream
            container.mux(packet)
    return Clip(path, tuple(numbers), tuple(n / 25 for n in numbers), num_frames / 25)


def _double_stamps(packets: Iterator[Any]) -> Iterator[Any]:
    """Frames 5 and 6 claim one moment, so do 11, 12 and 13."""
    claims = {6: 5, 12: 11, 13: 11}
    for index, packet in enumerate(packets):
        packet.pts = packet.dts = claims.get(index, index)
        packet.time_base = FRAME
        yield packet


def _doubled(suffix: str, coding: Coding) -> ClipRecipe:
    def make(path: Path) -> Clip:
        clip = _remade(path, coding, _double_stamps)
        appear = list(clip.appear_seconds)
        appear[6], appear[12], appear[13] = appear[5], appear[11], appear[11]
        return replace(clip, appear_seconds=tuple(appear))

    return ClipRecipe(f"same-moment-{coding.encoder}.{suffix}", make)


def _cut_at_front(name: str, coding: Coding, num_packets: int, first_number: int) -> ClipRecipe:
    """As a recording that began between two key frames: what refers to frames before is not displayed."""

    def make(path: Path) -> Clip:
        clip = _remade(path, coding, lambda packets: list(packets)[num_packets:], num_frames=36)
        return part_of(clip, slice(first_number, None))

    return ClipRecipe(name, make)


_NOT_CODED = b"\x00\x00\x01\xb6\x57\x00\x7f"
"""A frame that repeats the last one; packed streams have it where a frame rode along earlier."""
_PACKED_BY_DIVX = b"\x00\x00\x01\xb2DivX503b1814p"


def _pack(packets: Iterator[Any]) -> Iterator[Any]:
    """As XVID and DivX put B-frames into AVI files, which know no order but that of decoding: a frame that others
    between refer to comes in one packet with the first of those, and an empty frame fills the place that came free."""
    contents: list[bytes] = []
    waiting = False
    for packet in packets:
        content = bytes(packet)
        if _is_b_frame(content) and not waiting:
            contents[-1] += content
            waiting = True
        elif _is_b_frame(content):
            contents.append(content)
        else:
            contents += [_NOT_CODED, content] if waiting else [content]
            waiting = False
    contents += [_NOT_CODED] if waiting else []
    for index, content in enumerate(contents):
        start = content.index(b"\x00\x00\x01\xb6")
        packed = av.Packet(content[:start] + _PACKED_BY_DIVX + content[start:] if index == 0 else content)
        packed.pts = packed.dts = index
        packed.time_base, packed.duration, packed.is_keyframe = FRAME, 1, _kind(content) == 0
        yield packed


def _kind(vop: bytes) -> int:
    return vop[vop.index(b"\x00\x00\x01\xb6") + 4] >> 6


def _is_b_frame(vop: bytes) -> bool:
    return _kind(vop) == 2


def _packed(name: str, num_b: int) -> ClipRecipe:
    options = {"bf": str(num_b), "g": "12", "flags": "+bitexact", "sc_threshold": "1000000000"}
    coding = Coding(encoder="mpeg4", options=options)
    return ClipRecipe(name, lambda path: _remade(path, coding, _pack))


PACKET_CLIPS = [
    _packed("packed-b1.avi", 1),
    _packed("packed-b2.avi", 2),
    _doubled("mkv", MJPEG),
    _doubled("mkv", FFV1),
    _cut_at_front("cut-at-front.ts", H264, 3, 12),
    _cut_at_front("cut-at-front-mpeg2.ts", MPEG2, 4, 9),
    _cut_at_front("cut-at-front-h265.ts", H265, 3, 8),
]


def _with_sound(suffix: str, coding: Coding, stamps: Sequence[int] = range(24)) -> ClipRecipe:
    """Pictures that begin and end within the sound."""

    def make(path: Path) -> Clip:
        with av.open(str(path), "w") as container:
            sound: Any = container.add_stream("aac" if suffix != "webm" else "libopus", rate=48000)
            sound.layout = "mono"
            video = add_stream(container, coding, FRAME)
            packets = [*_silence(sound), *encoded_packets(video, coding, range(len(stamps)), stamps, FRAME)]
            for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
                container.mux(packet)
        appear = tuple(float((stamp - stamps[0]) * FRAME) for stamp in stamps)
        return Clip(path, tuple(range(len(stamps))), appear, appear[-1] + float(FRAME))

    return ClipRecipe(f"sound-first-{coding.encoder}.{suffix}", make)


def _silence(stream: Any, num_seconds: int = 3) -> Iterator[Any]:
    samples = 960
    for index in range(num_seconds * 48000 // samples):
        frame: Any = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, index * samples, Fraction(1, 48000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


SOUND_CLIPS = [
    _with_sound("mp4", H264, range(15, 39)),
    _with_sound("mkv", H264, range(15, 39)),
    _with_sound("ts", H264, range(15, 39)),
    _with_sound("flv", H264, range(15, 39)),
    _with_sound("webm", VP9, range(15, 39)),
    _with_sound("avi", MPEG4),
]

STRUCTURE_CLIPS = [*SINGLE_FRAME_CLIPS, *PACKET_CLIPS, *SOUND_CLIPS]


def write_two_streams(
    path: Path, codings: Sequence[Coding], numbers: Sequence[Sequence[int]], default: int
) -> list[Clip]:
    """A file with several video streams, one of which is marked as the one to play; what each of them shows."""
    with av.open(str(path), "w") as container:
        streams = [add_stream(container, coding) for coding in codings]
        for index, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if index == default else av.stream.Disposition(0)
        packets = [
            packet
            for stream, coding, row in zip(streams, codings, numbers, strict=True)
            for packet in encoded_packets(stream, coding, row)
        ]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return [
        Clip(path, tuple(row), tuple(n / 25 for n in range(len(row))), len(row) / 25, coding.width, coding.height)
        for coding, row in zip(codings, numbers, strict=True)
    ]
