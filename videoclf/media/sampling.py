"""Which moments of a video are looked at: pure arithmetic on seconds, no file and no decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from videoclf.media.frames import Float64Array

MOMENT_TOLERANCE_SECONDS = 1e-6
"""Sums of floats: two times closer than this are one time."""


@dataclass(frozen=True, repr=False)
class SamplingPlan:
    """The moments wanted of a video; the frame *on display* at each is meant."""

    timestamps_seconds: Float64Array
    """``T`` ascending times, counted from the first frame."""
    fps: float
    """How they were chosen: ``1 / fps`` apart."""

    def windows(self, max_frames: int) -> list[SamplingPlan]:
        """The plan cut into as few windows of at most ``max_frames`` moments as possible, equal in length within one.

        >>> [len(window) for window in plan_constant_rate(8.75, fps=8).windows(64)]
        [35, 35]
        """
        num_windows = max(1, math.ceil(len(self) / max_frames))
        return [SamplingPlan(part, self.fps) for part in np.array_split(self.timestamps_seconds, num_windows)]

    def __len__(self) -> int:
        return len(self.timestamps_seconds)

    def __repr__(self) -> str:
        first, last = self.timestamps_seconds[[0, -1]]
        return f"SamplingPlan({len(self)} moments at {self.fps:g}/s, {first:.3f}–{last:.3f} s)"


def plan_constant_rate(duration_seconds: float, *, fps: float) -> SamplingPlan:
    """Moments ``0, 1/fps, 2/fps, ...`` before the video's end; at least the first.

    >>> plan_constant_rate(1.0, fps=4).timestamps_seconds.tolist()
    [0.0, 0.25, 0.5, 0.75]
    >>> plan_constant_rate(0.29, fps=8).timestamps_seconds.tolist()
    [0.0, 0.125, 0.25]

    Args:
        duration_seconds: from the first frame's appearance to the last one's end; 0 where only one frame is known of.
        fps: moments a second, above 0.
    """
    if not (math.isfinite(duration_seconds) and math.isfinite(fps) and duration_seconds >= 0 and fps > 0):
        raise ValueError(f"expected a duration of 0 s or more and fps above 0, got {duration_seconds} s, {fps} fps")
    num_moments = max(1, math.ceil((duration_seconds - MOMENT_TOLERANCE_SECONDS) * fps))
    return SamplingPlan(np.arange(num_moments) / fps, fps)
