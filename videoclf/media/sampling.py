"""Chooses the sample times of a video: pure arithmetic on seconds, without files or decoders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from videoclf.media.frames import Float64Array

TIME_TOLERANCE_SECONDS = 1e-6
"""Two times closer than this are the same, because sums of floats are not exact."""


@dataclass(frozen=True, repr=False)
class SamplingPlan:
    """The sample times of a video. The frame *on display* at each is used."""

    timestamps_seconds: Float64Array
    """``T`` ascending times, counted from the first frame."""
    fps: float
    """Sample times per second: they are ``1 / fps`` apart."""

    def windows(self, max_frames: int) -> list[SamplingPlan]:
        """Divide the plan into as few windows of at most ``max_frames`` frames as possible. Lengths differ by one at
        most.

        >>> [len(window) for window in plan_constant_rate(8.75, fps=8).windows(64)]
        [35, 35]
        """
        num_windows = max(1, math.ceil(len(self) / max_frames))
        return [SamplingPlan(part, self.fps) for part in np.array_split(self.timestamps_seconds, num_windows)]

    def __len__(self) -> int:
        return len(self.timestamps_seconds)

    def __repr__(self) -> str:
        first, last = self.timestamps_seconds[[0, -1]]
        return f"SamplingPlan({len(self)} frames at {self.fps:g}/s, {first:.3f}–{last:.3f} s)"


def plan_constant_rate(duration_seconds: float, *, fps: float) -> SamplingPlan:
    """Sample times ``0, 1/fps, 2/fps, ...`` before the video's end; at least the first.

    >>> plan_constant_rate(1.0, fps=4).timestamps_seconds.tolist()
    [0.0, 0.25, 0.5, 0.75]
    >>> plan_constant_rate(0.29, fps=8).timestamps_seconds.tolist()
    [0.0, 0.125, 0.25]

    Args:
        duration_seconds: from the start of the first frame to the end of the last; 0 if only one frame is known.
        fps: sample times per second, above 0.
    """
    if not (math.isfinite(duration_seconds) and math.isfinite(fps) and duration_seconds >= 0 and fps > 0):
        raise ValueError(f"expected a duration of 0 s or more and fps above 0, got {duration_seconds} s, {fps} fps")
    num_moments = max(1, math.ceil((duration_seconds - TIME_TOLERANCE_SECONDS) * fps))
    return SamplingPlan(np.arange(num_moments) / fps, fps)
