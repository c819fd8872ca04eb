"""Pictures that are missing show in their numbers; where none is missing, none is missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from tests.media.coded_clips import Coding, encode
from videoclf.media.h264_frame_numbers import FrameNumbers
from videoclf.media.picture_headers import PictureHeaders


def gaps(path: Path, left_out: int | None = None) -> list[int]:
    """Packets that do not follow the one before, where one of them is left out."""
    container: Any
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        headers = PictureHeaders(codec.name, codec.extradata)
        packets = [packet for packet in container.demux(video=0) if packet.size]
    kept = [(index, headers.of(memoryview(packet))) for index, packet in enumerate(packets) if index != left_out]
    return [index for index, header in kept if header.is_after_gap]


def x264(params: str, pixel_format: str = "yuv420p", **options: str) -> Coding:
    return Coding(encoder="libx264", options={"x264-params": params, **options}, pixel_format=pixel_format)


CODINGS = [
    pytest.param(x264("keyint=12:bframes=0"), id="plain"),
    pytest.param(x264("keyint=12:bframes=3:b-pyramid=normal:b-adapt=0"), id="pyramid"),
    pytest.param(x264("keyint=12:open-gop=1:bframes=3:b-adapt=0"), id="open groups"),
    pytest.param(x264("keyint=12:intra-refresh=1:bframes=0"), id="intra-refresh"),
    pytest.param(x264("keyint=30:cqm=jvt:bframes=2"), id="scaling lists"),
    pytest.param(x264("interlaced=1:tff=1:bframes=2"), id="interlaced"),
    pytest.param(x264("keyint=30:slices=4"), id="slices"),
    pytest.param(x264("keyint=30", profile="baseline"), id="baseline"),
    pytest.param(x264("keyint=30", "yuv444p"), id="4:4:4"),
    pytest.param(x264("keyint=30", "yuv420p10le"), id="10 bits"),
]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("suffix", ["mp4", "ts", "avi"])
def test_a_whole_stream_has_no_gap(tmp_path: Path, coding: Coding, suffix: str) -> None:
    encode(tmp_path / f"clip.{suffix}", coding, numbers=range(40))
    assert gaps(tmp_path / f"clip.{suffix}") == []


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
@pytest.mark.parametrize("coding", CODINGS[4:])
def test_a_picture_that_is_missing_shows_in_the_next(tmp_path: Path, coding: Coding, suffix: str) -> None:
    encode(tmp_path / f"clip.{suffix}", coding, numbers=range(40))
    assert gaps(tmp_path / f"clip.{suffix}", left_out=1) == [2]


FOUR_BITS, FIVE_BITS = b"\x67\x42\x00\x1e\xda\x00", b"\x67\x42\x00\x1e\x49\xa0"
"""Parameter sets, of other numbers, that say how long frame numbers are."""
SLICES = [bytes([0x41, 0b11100000 | number << 1, 0]) for number in (1, 5)]


def test_without_a_parameter_set_or_with_several_layouts_nothing_is_said() -> None:
    numbers = FrameNumbers()
    assert [numbers.is_after_gap(unit) for unit in SLICES] == [False, False]
    numbers.take_parameter_set(FOUR_BITS)
    assert [numbers.is_after_gap(unit) for unit in SLICES] == [False, True]
    numbers.take_parameter_set(b"\x67")
    assert [numbers.is_after_gap(unit) for unit in SLICES] == [True, True]
    numbers.take_parameter_set(FIVE_BITS)
    assert [numbers.is_after_gap(unit) for unit in SLICES] == [False, False]


@pytest.mark.parametrize("unit", [b"\x41", b"\x41\x00", b"\x41\xff", b"\x01" + bytes(64)])
def test_nonsense_is_no_gap(unit: bytes) -> None:
    numbers = FrameNumbers()
    numbers.take_parameter_set(FOUR_BITS)
    assert not numbers.is_after_gap(unit)
