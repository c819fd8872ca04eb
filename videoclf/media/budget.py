"""Counts the time that decoding one video has taken, and the damage found in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from videoclf.errors import SourceRefusedError, one_line
from videoclf.media.limits import Limits

P = ParamSpec("P")
Result = TypeVar("Result")

_FRAMES_IN_A_CODEC = 20
"""References and frames being put in order, at most (16 in H.264), and some for its threads."""


def codec_memory_bytes(num_pixels: int) -> int:
    """The memory that one codec may use for frames of this size."""
    return num_pixels * 3 * _FRAMES_IN_A_CODEC


class Budget:
    """Time spent in the codec, and damage found. The threads that decode one video share it."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._lock = threading.Lock()
        self._spent_seconds = 0.0
        self.num_damaged = 0
        self.damage = ""

    def spend(self, seconds: float) -> None:
        """Add time that the codec took.

        Raises:
            SourceRefusedError: the threads of this video together have taken longer than allowed.
        """
        with self._lock:
            self._spent_seconds += seconds
        if self._spent_seconds > self._limits.max_decode_seconds:
            raise SourceRefusedError(
                f"decoding took more than the {self._limits.max_decode_seconds:.0f} s allowed",
                source=self._path,
                hint="cut or scale it down with: ffmpeg -i IN -t 600 -vf scale=640:-2 out.mp4",
            )

    def timed(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Call a function and add the time it takes."""
        started_seconds = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            self.spend(time.perf_counter() - started_seconds)

    def note_damage(self, reason: object) -> None:
        """Count a packet or frame that could not be used."""
        with self._lock:
            self.num_damaged += 1
            self.damage = one_line(reason)

    def out_of_memory(self) -> SourceRefusedError:
        """The exception to raise when the operating system provides no more memory."""
        return SourceRefusedError(
            "decoding it takes more memory than is available",
            source=self._path,
            hint="scale it down with: ffmpeg -i IN -vf scale=1280:-2 out.mp4",
        )

    def forget_damage(self) -> None:
        """Reset the count of damage, because everything is decoded again."""
        with self._lock:
            self.num_damaged, self.damage = 0, ""

    def check_size(self, width: int, height: int) -> None:
        """Refuse a frame size before anything of that size is allocated here.

        Raises:
            SourceRefusedError: more pixels, or more memory for a codec's frames, than allowed.
        """
        num_pixels = width * height
        if num_pixels > self._limits.max_pixels_per_frame:
            excess = f"more than the {self._limits.max_pixels_per_frame:,} pixels allowed"
        elif codec_memory_bytes(num_pixels) > self._limits.max_memory_bytes:
            excess = f"which need more than the {self._limits.max_memory_bytes:,} bytes of memory allowed for decoding"
        else:
            return
        raise SourceRefusedError(
            f"its frames are {width}×{height}, {excess}",
            source=self._path,
            hint="scale it down with: ffmpeg -i IN -vf scale=1280:-2 out.mp4",
        )
