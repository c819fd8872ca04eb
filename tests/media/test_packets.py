"""Where decoding starts, and which packets belong together."""

from __future__ import annotations

import numpy as np

from videoclf.media.packets import PacketTable, Run, plan_runs, stamp_rounding_seconds


def table(*packets: tuple[int, bool], first_shown_ticks: int | None = None) -> PacketTable:
    """From (presentation stamp, keyframe) in decoding order."""
    pts = np.array([pts for pts, _ in packets], dtype=np.int64)
    return PacketTable(pts, pts, np.array([key for _, key in packets]), 0.01, first_shown_ticks)


CLOSED_GOPS = table((0, True), (2, False), (1, False), (3, True), (5, False), (4, False))
OPEN_GOP = table((0, True), (2, False), (1, False), (5, True), (3, False), (4, False), (7, False), (6, False))
"""Frames 3 and 4 follow the keyframe 5 in the file, but are shown before it, and refer to frame 2 as well."""


def test_frames_are_shown_by_their_stamps() -> None:
    assert CLOSED_GOPS.decoding_ordinals.tolist() == [0, 2, 1, 3, 5, 4]
    assert CLOSED_GOPS.shown_seconds.tolist() == [0, 0.01, 0.02, 0.03, 0.04, 0.05]


def test_time_counts_from_the_first_frame_that_is_shown() -> None:
    cut = table((4, False), (6, True), (8, False), (7, False), first_shown_ticks=6)
    assert cut.num_never_shown == 1
    assert cut.decoding_ordinals.tolist() == [1, 3, 2]
    assert cut.shown_seconds.tolist() == [0, 0.01, 0.02]
    assert cut.ordinal_of(4) == 0


def test_a_packet_is_found_by_its_stamp() -> None:
    assert [CLOSED_GOPS.ordinal_of(pts) for pts in (0, 1, 4, 5, 6, -1)] == [0, 2, 5, 4, None, None]


def test_decoding_starts_at_the_last_keyframe_that_is_shown_no_later() -> None:
    assert OPEN_GOP.starts_for(np.arange(8)).tolist() == [0, 0, 0, 3, 0, 0, 3, 3]


def test_without_keyframes_decoding_starts_at_the_first_packet() -> None:
    assert table((0, False), (1, False)).starts_for(np.array([0, 1])).tolist() == [0, 0]


def test_frames_of_one_keyframe_are_one_run() -> None:
    assert plan_runs(CLOSED_GOPS, [1, 2]) == [Run(0, 2, (1, 2))]


def test_what_lies_between_two_runs_is_left_out() -> None:
    assert plan_runs(CLOSED_GOPS, [0, 3]) == [Run(0, 0, (0,)), Run(3, 3, (3,))]


def test_a_run_that_leads_up_to_the_next_keyframe_goes_on() -> None:
    assert plan_runs(CLOSED_GOPS, [2, 1 + 2]) == [Run(0, 1, (2,)), Run(3, 3, (3,))]
    assert plan_runs(CLOSED_GOPS, [1, 3]) == [Run(0, 3, (1, 3))]


def test_frames_before_an_open_keyframe_come_from_the_keyframe_before() -> None:
    assert plan_runs(OPEN_GOP, [3, 7]) == [Run(0, 6, (3, 7))]


def test_a_run_counts_its_packets() -> None:
    assert Run(3, 6, (3,)).num_packets == 4


def test_stamps_are_rounded_by_half_a_tick_and_half_a_millisecond_at_most() -> None:
    assert round(stamp_rounding_seconds(0.0004), 7) == 0.000201
    assert round(stamp_rounding_seconds(0.04), 7) == 0.000501
