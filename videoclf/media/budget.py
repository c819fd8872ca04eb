"""What decoding one video has cost so far, and what was found broken in it."""

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
    """What one codec may hold of frames of this size."""
    return num_pixels * 3 * _FRAMES_IN_A_CODEC


class Budget:
    """Time spent in the codec, and damage met; shared by the threads that decode one video."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._lock = threading.Lock()
        self._spent_seconds = 0.0
        self.num_damaged = 0
        self.damage = ""

    def spend(self, seconds: float) -> None:
        """Count time that the codec took.

        Raises:
            SourceRefusedError: the video has taken longer than allowed, all its threads together.
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
        """What a function gives; its time counts."""
        started_seconds = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            self.spend(time.perf_counter() - started_seconds)

    def note_damage(self, reason: object) -> None:
        """A packet or frame that could not be used."""
        with self._lock:
            self.num_damaged += 1
            self.damage = one_line(reason)

    def out_of_memory(self) -> SourceRefusedError:
        """What to raise where the operating system gives no more."""
        return SourceRefusedError(
            "decoding it takes more memory than is to be had",
            source=self._path,
            hint="scale it down with: ffmpeg -i IN -vf scale=1280:-2 out.mp4",
        )

    def forget_damage(self) -> None:
        """What was counted will be met again."""
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
            excess = f"which take more to decode than the {self._limits.max_memory_bytes:,} bytes of memory allowed"
        else:
            return
        raise SourceRefusedError(
            f"its frames are {width}×{height}, {excess}",
            source=self._path,
            hint="scale it down with: ffmpeg -i IN -vf scale=1280:-2 out.mp4",
        )
