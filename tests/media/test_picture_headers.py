"""What packets say of their pictures, read without decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from tests.media.coded_clips import Coding, encode
from videoclf.media.picture_headers import UNKNOWN, PictureHeader, PictureHeaders

H264_B = Coding(encoder="libx264", options={"x264-params": "scenecut=0:b-adapt=0:bframes=3:b-pyramid=normal"})
HEVC_B = Coding(encoder="libx265", options={"x265-params": "log-level=none:scenecut=0:b-adapt=0:bframes=3"})
REFRESHED = Coding(encoder="libx264", options={"x264-params": "keyint=8:intra-refresh=1:bframes=0"})


def headers_of(path: Path, coding: Coding) -> list[PictureHeader]:
    encode(path, coding, numbers=range(18))
    container: Any
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        headers = PictureHeaders(codec.name, codec.extradata)
        return [headers.of(memoryview(packet)) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
@pytest.mark.parametrize(
    ("coding", "pattern"),
    [
        pytest.param(H264_B, "++" + "+--+" * 4, id="h264"),
        pytest.param(HEVC_B, "++" + "+--+" * 4, id="hevc"),
        pytest.param(Coding(encoder="mpeg4", options={"g": "18", "bf": "2"}), "++--+--+--+--+--+-", id="mpeg4"),
        pytest.param(Coding(encoder="mpeg2video", options={"g": "18", "bf": "2"}), "++--+--+--+--+--+-", id="mpeg2"),
    ],
)
def test_b_frames_that_nothing_refers_to_are_told(tmp_path: Path, coding: Coding, pattern: str, suffix: str) -> None:
    told = ["+" if header.is_referred_to else "-" for header in headers_of(tmp_path / f"clip.{suffix}", coding)]
    assert "".join(told)[:12] == pattern[:12]


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_where_stripes_begin_to_be_refreshed_is_told(tmp_path: Path, suffix: str) -> None:
    headers = headers_of(tmp_path / f"clip.{suffix}", REFRESHED)
    begins = [index for index, header in enumerate(headers) if header.num_recovery_pictures]
    assert begins == [8, 17]
    assert {headers[index].num_recovery_pictures for index in begins} <= set(range(1, 8))


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x00\x00\x01", b"\x00\x00\x00\x00", b"\xff" * 100, bytes(100)])
@pytest.mark.parametrize("codec_name", ["h264", "hevc", "mpeg4", "mpeg2video", "vp9"])
@pytest.mark.parametrize("extradata", [None, b"\x01" + bytes(30)])
def test_nonsense_counts_as_referred_to(codec_name: str, content: bytes, extradata: bytes | None) -> None:
    header = PictureHeaders(codec_name, extradata).of(memoryview(content))
    assert header.is_referred_to or codec_name in {"h264", "hevc"}
    assert header.num_recovery_pictures is None


def test_a_recovery_message_behind_another_one_is_found() -> None:
    other, recovery = b"\x05\xff\x02" + bytes(range(1, 255)) + b"\x01\x02\x03", b"\x06\x01\x12\x80"
    content = b"\x00\x00\x01\x06" + other + recovery + b"\x00\x00\x01\x41\x9a"
    header = PictureHeaders("h264", None).of(memoryview(content))
    assert header == PictureHeader(is_referred_to=True, num_recovery_pictures=8)


def test_other_codecs_are_not_looked_into() -> None:
    assert PictureHeaders("ffv1", b"").of(memoryview(b"\x00\x00\x01\x01")) is UNKNOWN
