"""Options for reading videos: decoder, frame selection, isolation and limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum

from videoclf.media.limits import DEFAULT_LIMITS, Limits


def num_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


DEFAULT_NUM_THREADS = min(4, num_cores())
"""Number of videos decoded at once. More do not help once the network never waits for frames."""


class DecoderName(StrEnum):
    """The decoder. All select the same frames; none silently replaces another."""

    PYAV = "pyav"
    OPENCV = "opencv"
    TORCHCODEC = "torchcodec"


class Picking(StrEnum):
    """Which frame is used for a sample time."""

    EXACT = "exact"
    """The frame on display at that time."""
    FAST = "fast"
    """A nearby frame that is cheaper to decode may be used. It is on display less than half the distance between two
    sample times, and less than a quarter of a second, away."""


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading videos; the same for training, extraction, prediction and checks."""

    decoder: DecoderName = DecoderName.PYAV
    picking: Picking = Picking.EXACT
    isolate: bool = False
    """Decode in child processes: if a codec crashes or hangs, only that clip fails."""
    video_stream: int | None = None
    """Number of the video stream, from 0; None: the one that a player would show."""
    limits: Limits = DEFAULT_LIMITS


DEFAULT_READ_OPTIONS = ReadOptions()
