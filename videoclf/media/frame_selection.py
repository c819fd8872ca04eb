"""Selects a frame for each sample time: pure arithmetic on a table of packets."""

from __future__ import annotations

import numpy as np

from videoclf.media.frames import Float64Array
from videoclf.media.packets import Int64Array, PacketTable, stamp_rounding_seconds
from videoclf.media.sampling import SamplingPlan

MAX_FAST_SHIFT_SECONDS = 0.25
"""With a larger shift an action looks different (docs/benchmarks.md has its effect on labels)."""


def frames_on_display(shown_seconds: Float64Array, sample_seconds: Float64Array, tick_seconds: float) -> Int64Array:
    """The ordinal of the frame on display at each sample time.

    >>> frames_on_display(np.array([0.0, 0.1, 0.5]), np.array([0.0, 0.3, 0.5, 9.0]), 0.001).tolist()
    [0, 1, 2, 2]

    Args:
        shown_seconds: when each frame appears, ascending.
        sample_seconds: sample times; none before the first frame.
        tick_seconds: of the container's clock.
    """
    rounded = shown_seconds - stamp_rounding_seconds(tick_seconds)
    return np.maximum(np.searchsorted(rounded, sample_seconds, side="right") - 1, 0)


def max_fast_shift_seconds(plan: SamplingPlan) -> float:
    """How far from its sample time a frame may be on display: less than half the distance between sample times."""
    gaps = np.diff(plan.timestamps_seconds)
    nearest = float(gaps.min()) if len(gaps) else 1 / plan.fps
    return min(MAX_FAST_SHIFT_SECONDS, nearest / 2)


def cheap_frames_nearby(
    table: PacketTable, exact_ordinals: Int64Array, sample_seconds: Float64Array, max_shift_seconds: float
) -> Int64Array:
    """For each sample time, the frame near it that needs the least decoding: the fewest packets from where decoding
    starts.

    Args:
        table: the stream's packets.
        exact_ordinals: the frames on display, which are used where no other is cheaper.
        sample_seconds: the plan's sample times.
        max_shift_seconds: a frame is not used if its time on display is farther than this from the sample time.
    """
    last = len(table.shown_seconds) - 1
    chosen = exact_ordinals.copy()
    for index, (exact, moment) in enumerate(zip(exact_ordinals, sample_seconds, strict=True)):
        # frames that end after moment - shift and begin before moment + shift
        first = int(np.searchsorted(table.shown_seconds[1:], moment - max_shift_seconds, side="right"))
        beyond = int(np.searchsorted(table.shown_seconds, moment + max_shift_seconds, side="left"))
        # what were two frames stay two
        if index > 0 and exact > exact_ordinals[index - 1]:
            first = max(first, int(chosen[index - 1]) + 1)
        if index + 1 < len(sample_seconds) and exact < exact_ordinals[index + 1]:
            beyond = min(beyond, int(exact_ordinals[index + 1]))
        nearby = np.arange(min(first, last, int(exact)), max(beyond, int(exact) + 1))
        ordinals = table.decoding_ordinals[nearby]
        cost = ordinals - table.starts_for(ordinals)
        best = nearby[cost == cost.min()]
        chosen[index] = best[np.argmin(np.abs(best - exact))]
    return np.asarray(np.maximum.accumulate(chosen), dtype=np.int64)


def shift_seconds(table: PacketTable, ordinals: Int64Array, sample_seconds: Float64Array) -> Float64Array:
    """How far each sample time lies outside the time in which its frame is on display."""
    until_seconds = np.append(table.shown_seconds[1:], np.inf)
    too_late = table.shown_seconds[ordinals] - sample_seconds - stamp_rounding_seconds(table.tick_seconds)
    too_early = sample_seconds - until_seconds[ordinals]
    return np.asarray(np.maximum(0.0, np.maximum(too_late, too_early)), dtype=np.float64)
