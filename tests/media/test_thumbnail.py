from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import write_clip, write_sound
from videoclf.media.frames import UInt8Array
from videoclf.media.limits import limits_with
from videoclf.media.options import DEFAULT_READ_OPTIONS
from videoclf.media.thumbnail import data_uri, middle_thumbnail, thumbnail


def decoded(jpeg: bytes) -> UInt8Array:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture.astype(np.uint8)


@pytest.mark.parametrize(("shape", "small"), [((90, 320), (45, 160)), ((320, 90), (160, 45)), ((1, 4000), (1, 160))])
def test_the_longer_side_is_as_long_as_asked_for(shape: tuple[int, int], small: tuple[int, int]) -> None:
    assert decoded(thumbnail(np.zeros((*shape, 3), np.uint8), long_side_px=160)).shape[:2] == small


def test_colours_stay() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 255
    assert decoded(thumbnail(red, long_side_px=16))[8, 8].tolist() == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize("isolate", [False, True])
def test_it_shows_the_middle(tmp_path: Path, isolate: bool) -> None:
    """Of 40 frames, number 20: two bits of five are set, and none of its neighbours has the same."""
    path = write_clip(tmp_path / "a.mp4", 40)
    picture = decoded(middle_thumbnail(path, replace(DEFAULT_READ_OPTIONS, isolate=isolate), long_side_px=160))
    assert [bool(picture[8, 16 * bit + 8].mean() > 128) for bit in range(5)] == [False, False, True, False, True]


def test_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    assert middle_thumbnail(tmp_path / "gone.mp4", DEFAULT_READ_OPTIONS, long_side_px=160) == b""
    assert middle_thumbnail(write_sound(tmp_path / "a.mp4"), DEFAULT_READ_OPTIONS, long_side_px=160) == b""
    careful = replace(DEFAULT_READ_OPTIONS, limits=limits_with(["max_pixels_per_frame=16"]))
    assert middle_thumbnail(write_clip(tmp_path / "b.mp4", 5), careful, long_side_px=160) == b""
    assert data_uri(b"") == ""


def test_its_address_holds_it() -> None:
    kind, _, text = data_uri(b"\xff\xd8").partition(",")
    assert kind == "data:image/jpeg;base64"
    assert base64.b64decode(text) == b"\xff\xd8"
