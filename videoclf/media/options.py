"""How videos are read: which decoder, how exactly, how carefully, within which limits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum

from videoclf.media.limits import DEFAULT_LIMITS, Limits


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


DEFAULT_NUM_THREADS = min(4, num_cores())
"""Videos decoded at once; more gain nothing once the network waits for nobody."""


class DecoderName(StrEnum):
    """Who decodes. All pick the same frames; none steps in for another."""

    PYAV = "pyav"
    OPENCV = "opencv"
    TORCHCODEC = "torchcodec"


class Picking(StrEnum):
    """Which frame stands for a moment."""

    EXACT = "exact"
    """The one on display then."""
    FAST = "fast"
    """One that is cheaper to decode may, if it is on display less than half the distance between two moments, and
    less than a quarter of a second, away."""


@dataclass(frozen=True)
class ReadOptions:
    """What a caller may choose about reading; the same for training, extraction, prediction and checks."""

    decoder: DecoderName = DecoderName.PYAV
    picking: Picking = Picking.EXACT
    isolate: bool = False
    """Decode in child processes: a codec that crashes or hangs ends its child, not the run."""
    video_stream: int | None = None
    """Which of a file's video streams, counted from 0; None for the one a player would show."""
    limits: Limits = DEFAULT_LIMITS


DEFAULT_READ_OPTIONS = ReadOptions()
