"""Pictures are displayed upright, whoever says how they are stored; what is no turn by quarters turns nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.media.coded_clips import HEIGHT, WIDTH, Coding, add_stream, draw_number, encoded_packets, read_number
from tests.media.decoders import DECODERS
from tests.media.timing_clips import H264_NO_B, H265, MJPEG
from videoclf.errors import MediaError
from videoclf.media.frames import UInt8Array
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.media.video import Video

ORIENTATIONS = [(degrees, is_mirrored) for is_mirrored in (False, True) for degrees in (0, 90, 180, 270)]
"""Columns reversed or not, and then turned counter-clockwise."""
EXIF_NUMBERS = {(0, False): 1, (0, True): 2, (180, False): 3, (180, True): 4}
EXIF_NUMBERS |= {(90, True): 5, (270, False): 6, (270, True): 7, (90, False): 8}
NUM_FRAMES = 6


def stored_for(orientation: tuple[int, bool], number: int) -> UInt8Array:
    """The picture that comes upright when mirrored and then turned."""
    degrees, is_mirrored = orientation
    picture = np.rot90(draw_number(number), -degrees // 90)
    return np.ascontiguousarray(picture[:, ::-1] if is_mirrored else picture)


def write(path: Path, coding: Coding, orientation: tuple[int, bool], change: Callable[[bytes], bytes]) -> None:
    """A clip stored in an orientation, each packet changed on its way to the file."""
    height, width, _ = stored_for(orientation, 0).shape
    stored = replace(
        coding,
        width=width,
        height=height,
        make_frame=lambda number, _width, _height: av.VideoFrame.from_ndarray(
            stored_for(orientation, number), format="rgb24"
        ),
    )
    with av.open(str(path), "w") as container:
        stream = add_stream(container, stored)
        for packet in encoded_packets(stream, stored, range(NUM_FRAMES)):
            changed: Any = av.Packet(change(bytes(packet)))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, stream
            container.mux(changed)


def write_with_matrix(path: Path, numbers: Sequence[float], orientation: tuple[int, bool] = (0, False)) -> None:
    """With a display matrix in the container: the numbers a, b, c and d."""
    a, b, c, d = (int(number * 65536) for number in numbers)
    coding = replace(H264_NO_B, prepare=lambda s: s.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30]))
    write(path, coding, orientation, lambda content: content)


def assert_upright(path: Path, decoder: DecoderName) -> tuple[str, ...]:
    """Or, by another decoder than PyAV, refused; gives the warnings."""
    try:
        with Video(path, ReadOptions(decoder=decoder)) as video:
            frames = list(video.frames(video.plan(25)))
            assert (video.info.width, video.info.height) == (WIDTH, HEIGHT)
            warnings = video.warnings
    except MediaError as error:
        assert decoder is DecoderName.TORCHCODEC
        assert "frames" in str(error)  # noqa: PT017
        return ()
    assert [read_number(frame.rgb) for frame in frames] == list(range(NUM_FRAMES))
    return warnings


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_containers_display_matrix_is_followed(
    tmp_path: Path, suffix: str, orientation: tuple[int, bool], decoder: DecoderName
) -> None:
    degrees, is_mirrored = orientation
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    sign = -1 if is_mirrored else 1
    if suffix == "mkv" and is_mirrored:
        pytest.skip("Matroska tells rotations only")
    write_with_matrix(tmp_path / f"clip.{suffix}", [sign * cos, -sign * sin, sin, cos], orientation)
    assert assert_upright(tmp_path / f"clip.{suffix}", decoder) == ()


def exif(number: int) -> bytes:
    """A JPEG segment that tells an orientation."""
    tiff = b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, number, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\x00\x00" + tiff


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("suffix", ["mov", "avi"])
def test_exif_is_followed(tmp_path: Path, suffix: str, orientation: tuple[int, bool], decoder: DecoderName) -> None:
    segment = exif(EXIF_NUMBERS[orientation])
    write(tmp_path / f"clip.{suffix}", MJPEG, orientation, lambda content: content[:2] + segment + content[2:])
    assert assert_upright(tmp_path / f"clip.{suffix}", decoder) == ()


def orientation_message(orientation: tuple[int, bool], *, is_hevc: bool) -> bytes:
    """A unit (SEI) of H.264 or HEVC that tells an orientation."""
    degrees, is_mirrored = orientation
    bits = f"0{is_mirrored:d}0{degrees * 65536 // 360:016b}" + ("1" if is_hevc else "0100")
    bits += "1" + "0" * (-len(bits + "1") % 8)
    payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
    payload = payload.replace(b"\x00\x00\x00", b"\x00\x00\x03\x00")
    return b"\x00\x00\x00\x01" + (b"\x4e\x01" if is_hevc else b"\x06") + bytes([47, len(bits) // 8]) + payload + b"\x80"


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("coding", [H264_NO_B, H265], ids=["h264", "hevc"])
def test_a_codecs_message_is_followed(
    tmp_path: Path, coding: Coding, orientation: tuple[int, bool], decoder: DecoderName
) -> None:
    message = orientation_message(orientation, is_hevc=coding is H265)
    write(tmp_path / "clip.mp4", coding, orientation, lambda content: message + content)
    assert assert_upright(tmp_path / "clip.mp4", decoder) == ()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        pytest.param([0, 0, 0, 0], "a display matrix of 0 0 0 0, which is invalid, is ignored", id="zeros"),
        pytest.param([1, 0, 0, 0], "which is invalid, is ignored", id="no rows"),
        pytest.param([1, 1, 1, 1], "is not a rotation by a multiple of 90°, is ignored", id="a line"),
        pytest.param([1, 0.5, 0, 1], "is not a rotation by a multiple of 90°, is ignored", id="slanted"),
        pytest.param([0.75, 0.66, -0.66, 0.75], "is not a rotation by a multiple of 90°, is ignored", id="41 degrees"),
        pytest.param([0.6, 0.8, -0.8, 0.6], "is not a rotation by a multiple of 90°, is ignored", id="53 degrees"),
        pytest.param([2, 0, 0, 2], "the scale of a display matrix of 2 0 0 2 is ignored", id="scaled"),
    ],
)
def test_another_matrix_leaves_pictures_as_they_are_and_is_told_once(
    tmp_path: Path, numbers: list[float], says: str, decoder: DecoderName
) -> None:
    write_with_matrix(tmp_path / "clip.mp4", numbers)
    warnings = assert_upright(tmp_path / "clip.mp4", decoder)
    if warnings or decoder is not DecoderName.TORCHCODEC:
        assert len(warnings) == 1
        assert warnings[0].endswith(says)


def test_unequal_scales_are_a_shape_of_pixels(tmp_path: Path) -> None:
    write_with_matrix(tmp_path / "clip.mp4", [2, 0, 0, 1])
    with Video(tmp_path / "clip.mp4") as video:
        assert (video.info.width, video.info.height, video.warnings) == (2 * WIDTH, HEIGHT, ())


def test_a_turn_that_was_rounded_is_a_turn(tmp_path: Path) -> None:
    write_with_matrix(tmp_path / "clip.mp4", [0.0001, -0.99999, 0.99999, 0.0001], (90, False))
    assert assert_upright(tmp_path / "clip.mp4", DecoderName.PYAV) == ()


@pytest.mark.parametrize(("name", "says"), [("exif_mirrored.mov", ""), ("zero_matrix.mp4", "is ignored")])
def test_reported_files_are_upright(shared_data: Path, name: str, says: str) -> None:
    with Video(shared_data / "reported" / name) as video:
        assert (video.info.width, video.info.height, video.info.rotation_degrees) == (320, 240, 0)
        assert says in "".join(video.warnings)
