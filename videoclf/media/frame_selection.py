"""Which frame stands for each moment: pure arithmetic on a table of packets."""

from __future__ import annotations

import numpy as np

from videoclf.media.frames import Float64Array
from videoclf.media.packets import Int64Array, PacketTable, stamp_rounding_seconds
from videoclf.media.sampling import SamplingPlan

MAX_FAST_SHIFT_SECONDS = 0.25
"""Beyond, an action looks different (see docs/benchmarks.md for what the shift does to labels)."""


def frames_on_display(shown_seconds: Float64Array, moments_seconds: Float64Array, tick_seconds: float) -> Int64Array:
    """For each moment the ordinal of the frame on display then.

    >>> frames_on_display(np.array([0.0, 0.1, 0.5]), np.array([0.0, 0.3, 0.5, 9.0]), 0.001).tolist()
    [0, 1, 2, 2]

    Args:
        shown_seconds: when each frame appears, ascending.
        moments_seconds: none before the first.
        tick_seconds: of the container's clock.
    """
    rounded = shown_seconds - stamp_rounding_seconds(tick_seconds)
    return np.maximum(np.searchsorted(rounded, moments_seconds, side="right") - 1, 0)


def max_fast_shift_seconds(plan: SamplingPlan) -> float:
    """How far from its moment a frame may be on display: less than half of the way to the next moment."""
    gaps = np.diff(plan.timestamps_seconds)
    nearest = float(gaps.min()) if len(gaps) else 1 / plan.fps
    return min(MAX_FAST_SHIFT_SECONDS, nearest / 2)


def cheap_frames_nearby(
    table: PacketTable, exact_ordinals: Int64Array, moments_seconds: Float64Array, max_shift_seconds: float
) -> Int64Array:
    """For each moment a frame near it that takes the least decoding: the fewest packets from where decoding starts.

    Args:
        table: the stream's packets.
        exact_ordinals: of the frames on display, which are taken where no other is cheaper.
        moments_seconds: of the plan.
        max_shift_seconds: a frame whose time on display begins or ends farther than this from its moment is not taken.
    """
    last = len(table.shown_seconds) - 1
    chosen = exact_ordinals.copy()
    for index, (exact, moment) in enumerate(zip(exact_ordinals, moments_seconds, strict=True)):
        # frames that end after moment - shift and begin before moment + shift
        first = int(np.searchsorted(table.shown_seconds[1:], moment - max_shift_seconds, side="right"))
        beyond = int(np.searchsorted(table.shown_seconds, moment + max_shift_seconds, side="left"))
        # what were two frames stay two
        if index > 0 and exact > exact_ordinals[index - 1]:
            first = max(first, int(chosen[index - 1]) + 1)
        if index + 1 < len(moments_seconds) and exact < exact_ordinals[index + 1]:
            beyond = min(beyond, int(exact_ordinals[index + 1]))
        nearby = np.arange(min(first, last, int(exact)), max(beyond, int(exact) + 1))
        ordinals = table.decoding_ordinals[nearby]
        cost = ordinals - table.starts_for(ordinals)
        best = nearby[cost == cost.min()]
        chosen[index] = best[np.argmin(np.abs(best - exact))]
    return np.asarray(np.maximum.accumulate(chosen), dtype=np.int64)


def shift_seconds(table: PacketTable, ordinals: Int64Array, moments_seconds: Float64Array) -> Float64Array:
    """How far each moment lies outside the time in which its frame is on display."""
    until_seconds = np.append(table.shown_seconds[1:], np.inf)
    too_late = table.shown_seconds[ordinals] - moments_seconds - stamp_rounding_seconds(table.tick_seconds)
    too_early = moments_seconds - until_seconds[ordinals]
    return np.asarray(np.maximum(0.0, np.maximum(too_late, too_early)), dtype=np.float64)
