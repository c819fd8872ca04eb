"""The measure itself: a number is read from a whole, upright frame alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media.coded_clips import NUM_CODES, Clip, UnreadableError, draw_number, read_number
from videoclf.media.frames import UInt8Array


def test_every_number_is_read_back() -> None:
    assert [read_number(draw_number(number)) for number in range(NUM_CODES)] == list(range(NUM_CODES))


@pytest.mark.parametrize("number", [0, 1, 511, 700])
@pytest.mark.parametrize(("width", "height"), [(48, 64), (97, 65), (768, 576)])
def test_a_scaled_or_squeezed_frame_is_read(number: int, width: int, height: int) -> None:
    scaled = np.asarray(cv2.resize(draw_number(number), (width, height)), dtype=np.uint8)
    assert read_number(scaled) == number


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda frame: frame[:, ::-1], id="mirrored"),
        pytest.param(lambda frame: frame[::-1], id="upside down and mirrored"),
        pytest.param(np.rot90, id="turned"),
        pytest.param(lambda frame: np.rot90(frame, 2), id="upside down"),
        pytest.param(lambda frame: frame.transpose(1, 0, 2), id="transposed"),
        pytest.param(lambda frame: frame[:, :, ::-1], id="red and blue swapped"),
        pytest.param(lambda frame: frame[:48], id="cropped"),
        pytest.param(np.zeros_like, id="black"),
        pytest.param(lambda frame: frame // 2 + draw_number(8) // 2, id="blended with the next"),
        pytest.param(lambda frame: np.concatenate([frame[:32], draw_number(8)[32:]]), id="torn"),
    ],
)
def test_what_is_no_whole_upright_frame_is_not_read(spoil: Callable[[UInt8Array], UInt8Array]) -> None:
    with pytest.raises(UnreadableError):
        read_number(spoil(draw_number(7)))


def test_the_frame_on_display_is_the_last_that_appeared() -> None:
    clip = Clip(path=Path("clip.mp4"), numbers=(5, 6, 7), appear_seconds=(0.0, 0.1, 0.5), end_seconds=0.6)
    assert [clip.number_at(moment) for moment in (0.0, 0.09, 0.1, 0.49, 0.5, 9.0)] == [5, 5, 6, 6, 7, 7]
