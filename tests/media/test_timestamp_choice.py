"""Which of two timestamps is believed."""

from __future__ import annotations

from dataclasses import dataclass

from videoclf.media.timestamp_choice import trusted_stamps


@dataclass
class Stamped:
    pts: int | None
    dts: int | None


def stamps_of(*pairs: tuple[int | None, int | None]) -> list[int | None]:
    return [
        stamp for _, stamp in trusted_stamps([Stamped(pts, dts) for pts, dts in pairs], presentation_is_guessed=False)
    ]


def test_rising_presentation_stamps_are_believed() -> None:
    assert stamps_of((0, 0), (2, 1), (4, 2), (7, 3)) == [0, 2, 4, 7]


def test_packed_b_frames_count_by_decoding_stamps_from_the_first_frame_on() -> None:
    # as UT-Interaction's XVID files come out of the AVI demuxer
    assert stamps_of((1, 3), (4, 4), (6, 5), (5, 6), (7, 7), (9, 8), (8, 9)) == [3, 4, 5, 6, 7, 8, 9]


def test_a_missing_presentation_stamp_is_replaced_by_the_decoding_one() -> None:
    assert stamps_of((None, 0), (None, 1)) == [0, 1]


def test_a_missing_decoding_stamp_is_not_replaced_by_a_presentation_stamp_that_is_not_believed() -> None:
    assert stamps_of((1, 3), (4, 4), (6, 5), (5, 6), (8, None)) == [3, 4, 5, 6, None]


def test_no_stamps_are_none() -> None:
    assert stamps_of((None, None), (None, None)) == [None, None]


def test_one_fault_late_does_not_turn_the_rest_around() -> None:
    rising = [(n, n) for n in range(20)]
    assert stamps_of(*rising, (5, 6), (21, 21))[-1] == 21


def test_no_frames_give_none() -> None:
    assert stamps_of() == []
