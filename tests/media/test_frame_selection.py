"""Which frame stands for a moment."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videoclf.media.frame_selection import cheap_frames_nearby, frames_on_display, max_fast_shift_seconds, shift_seconds
from videoclf.media.packets import PacketTable
from videoclf.media.sampling import SamplingPlan

TICK_SECONDS = 0.001


def evenly(num_frames: int, gop: int) -> PacketTable:
    """25 frames a second, a keyframe every ``gop`` frames, nothing reordered."""
    pts = np.arange(num_frames, dtype=np.int64) * 40
    return PacketTable(pts, pts, np.arange(num_frames) % gop == 0, TICK_SECONDS)


def test_the_frame_on_display_is_the_last_that_appeared() -> None:
    shown = np.array([0.0, 0.1, 2.0])
    moments = np.array([0.0, 0.05, 0.1, 1.9, 2.0, 5.0])
    assert frames_on_display(shown, moments, TICK_SECONDS).tolist() == [0, 0, 1, 1, 2, 2]


def test_a_frame_that_was_rounded_up_by_its_container_is_not_missed() -> None:
    assert frames_on_display(np.array([0.0, 0.034]), np.array([1 / 30]), TICK_SECONDS).tolist() == [0]
    assert frames_on_display(np.array([0.0, 0.0337]), np.array([1 / 30]), TICK_SECONDS).tolist() == [1]


def test_a_keyframe_nearby_is_taken() -> None:
    table = evenly(25, gop=10)
    moments = np.array([0.48])  # frame 12; the keyframe 10 is gone at 0.44
    chosen = cheap_frames_nearby(table, np.array([12]), moments, 0.05)
    assert chosen.tolist() == [10]
    assert np.allclose(shift_seconds(table, chosen, moments), [0.04])


def test_beyond_the_bound_no_frame_is_taken() -> None:
    assert cheap_frames_nearby(evenly(25, gop=10), np.array([15]), np.array([0.6]), 0.05).tolist() == [13]


def test_two_frames_stay_two() -> None:
    table = evenly(25, gop=25)
    moments = np.array([0.40, 0.44, 0.48])
    assert cheap_frames_nearby(table, np.array([10, 11, 12]), moments, 0.2).tolist() == [5, 6, 7]


def test_the_bound_is_half_the_distance_of_moments_and_a_quarter_of_a_second() -> None:
    assert max_fast_shift_seconds(SamplingPlan(np.array([0.0, 0.125, 0.25]), 8)) == 0.0625
    assert max_fast_shift_seconds(SamplingPlan(np.array([0.0, 5.0]), 0.2)) == 0.25
    assert max_fast_shift_seconds(SamplingPlan(np.array([0.0]), 4)) == 0.125


@given(
    gop=st.integers(1, 30),
    spacing_frames=st.floats(0.3, 20),
    first=st.floats(0, 1),
)
def test_cheap_frames_are_near_ascending_and_never_fewer(gop: int, spacing_frames: float, first: float) -> None:
    table = evenly(50, gop)
    moments = np.arange(first, 2.0, spacing_frames * 0.04)
    plan = SamplingPlan(moments, 25 / spacing_frames)
    exact = frames_on_display(table.shown_seconds, moments, TICK_SECONDS)
    bound_seconds = max_fast_shift_seconds(plan)
    chosen = cheap_frames_nearby(table, exact, moments, bound_seconds)
    assert (np.diff(chosen) >= 0).all()
    assert (np.diff(chosen)[np.diff(exact) > 0] > 0).all()
    assert (shift_seconds(table, chosen, moments) <= bound_seconds + 1e-9).all()
