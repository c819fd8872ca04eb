from __future__ import annotations

from dataclasses import replace

import pytest

from videoclf.kernels.layout import COLUMNS, Clip, ClipLayout, Colours, Placement, frame_rows, frame_table

WHOLE = Placement(0, 0, 5, 7, 5, 7, 0, 0)
RGB = ClipLayout.rgb(2, 5, 7)


def test_chroma_of_odd_sizes_has_the_larger_half() -> None:
    assert ClipLayout.i420(1, 5, 7, Colours("bt601")).num_bytes == 5 * 7 + 2 * 3 * 4
    assert ClipLayout.nv12(1, 5, 7, Colours("bt601")).num_bytes == 5 * 8 + 3 * 8


def test_padding_behind_the_last_pixel_need_not_be_there() -> None:
    assert ClipLayout.rgb(2, 5, 7, offset=3, row_pitch=32).num_bytes == 3 + 9 * 32 + 7 * 3


def test_each_frame_is_told_its_offset_and_its_clips_ends() -> None:
    clips = [Clip(RGB, WHOLE), Clip(ClipLayout.rgb(1, 5, 7, offset=210), WHOLE, is_flipped=True)]
    rows = frame_rows(frame_table(clips, 5, 7, 315))
    assert [(row.first_row, row.last_row) for row in rows] == [(0, 1), (0, 1), (2, 2)]
    assert [row.offset0 for row in rows] == [0, 105, 210]
    assert [row.is_flipped for row in rows] == [0, 0, 1]


def test_the_kernel_reads_columns_by_their_places() -> None:
    """preprocess_triton.py has these numbers."""
    at = {name: index for index, name in enumerate(COLUMNS)}
    assert (at["first_row"], at["last_row"], at["offset0"], at["row_pitch0"], at["pixel_pitch0"]) == (0, 1, 2, 5, 7)
    assert (at["source_top"], at["source_height"], at["resized_height"], at["top"]) == (9, 11, 13, 15)
    assert (at["is_flipped"], at["red_weight"], at["blue_weight"], at["is_full_range"]) == (17, 18, 19, 20)


@pytest.mark.parametrize(("clips", "num_bytes", "message"), [
    ([], 210, "clips is empty"),
    ([Clip(RGB, WHOLE)], 209, "ends at byte 210, beyond the 209 bytes given"),
    ([Clip(RGB, WHOLE), Clip(ClipLayout.i420(1, 5, 7, Colours("bt601")), WHOLE)], 210, "mix RGB and YUV"),
    ([Clip(replace(RGB, offsets=(-1, 0, 1)), WHOLE)], 210, "offsets at least 0"),
    ([Clip(RGB, replace(WHOLE, source_left=1))], 210, "not within a frame"),
    ([Clip(RGB, replace(WHOLE, resized_width=6))], 210, "too small for a crop"),
    ([Clip(ClipLayout.rgb(1, 5, 7, row_pitch=2**30), WHOLE)], 2**33, "2 GB or more"),
])  # fmt: skip
def test_what_a_kernel_would_read_beyond_is_refused(clips: list[Clip], num_bytes: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frame_table(clips, 5, 7, num_bytes)


def test_an_unknown_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="matrix = 'bt470': expected one of bt601, bt709, bt2020"):
        Colours("bt470")
