"""Sampling plans: arithmetic on seconds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoclf.media.sampling import plan_constant_rate

seconds = st.floats(0, 5000)
rates = st.floats(0.1, 120)


def test_moments_start_at_the_first_frame_and_end_before_the_last_one_has_gone() -> None:
    assert plan_constant_rate(3.52, fps=8).timestamps_seconds[[0, -1]].tolist() == [0, 28 / 8]


@pytest.mark.parametrize(("duration", "num_moments"), [(0, 1), (0.04, 1), (1.0, 4), (1.01, 5), (0.75 + 1e-9, 3)])
def test_the_number_of_moments_at_four_a_second(duration: float, num_moments: int) -> None:
    assert len(plan_constant_rate(duration, fps=4)) == num_moments


@given(seconds, rates)
def test_moments_are_evenly_spaced_and_lie_within_the_video(duration: float, fps: float) -> None:
    moments = plan_constant_rate(duration, fps=fps).timestamps_seconds
    assert np.allclose(np.diff(moments), 1 / fps)
    assert moments[-1] <= duration
    assert moments[-1] + 1 / fps >= duration - 1e-5


@given(seconds, rates, st.integers(1, 100))
def test_windows_part_the_plan_into_as_few_equal_pieces_as_possible(
    duration: float, fps: float, max_frames: int
) -> None:
    plan = plan_constant_rate(duration, fps=fps)
    windows = plan.windows(max_frames)
    lengths = [len(window) for window in windows]
    assert np.array_equal(np.concatenate([w.timestamps_seconds for w in windows]), plan.timestamps_seconds)
    assert len(windows) == math.ceil(len(plan) / max_frames)
    assert max(lengths) <= max_frames
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(("duration", "fps"), [(-1, 8), (math.nan, 8), (math.inf, 8), (1, 0), (1, -8)])
def test_impossible_numbers_are_refused(duration: float, fps: float) -> None:
    with pytest.raises(ValueError, match="expected a duration of 0 s or more and fps above 0"):
        plan_constant_rate(duration, fps=fps)


def test_the_repr_tells_moments_not_numbers() -> None:
    assert repr(plan_constant_rate(1, fps=4)) == "SamplingPlan(4 frames at 4/s, 0.000–0.750 s)"
