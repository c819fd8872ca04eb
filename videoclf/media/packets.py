"""The table of a video stream's packets: when each frame is shown, and which packets must be decoded for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from videoclf.media.frames import Float64Array
from videoclf.media.sampling import TIME_TOLERANCE_SECONDS

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_STAMP_ROUNDING_SECONDS = 0.5e-3
"""Containers round timestamps to their time base; Matroska's millisecond is the coarsest that is not exact anyway."""


def stamp_rounding_seconds(tick_seconds: float) -> float:
    """How much earlier than its timestamp a frame counts as shown, because timestamps are rounded."""
    return min(tick_seconds / 2, _MAX_STAMP_ROUNDING_SECONDS) + TIME_TOLERANCE_SECONDS


@dataclass(frozen=True)
class PacketTable:
    """One entry per packet, in decoding order. Every packet gives one frame, and all timestamps differ."""

    pts_ticks: Int64Array
    dts_ticks: Int64Array
    is_keyframe: BoolArray
    tick_seconds: float
    first_shown_ticks: int | None = None
    """Frames before this time refer to others that are not in the file, so they are never shown."""

    @cached_property
    def _sorted_ordinals(self) -> Int64Array:
        return np.argsort(self.pts_ticks, kind="stable")

    @cached_property
    def decoding_ordinals(self) -> Int64Array:
        """For each frame in the order of display, the position of its packet in decoding order."""
        return self._sorted_ordinals[self.num_never_shown :]

    @cached_property
    def num_never_shown(self) -> int:
        """Number of frames before the first that can be decoded."""
        return 0 if self.first_shown_ticks is None else int((self.pts_ticks < self.first_shown_ticks).sum())

    @cached_property
    def shown_ticks(self) -> Int64Array:
        """When each frame is first shown, in the order of display."""
        return self.pts_ticks[self.decoding_ordinals]

    @cached_property
    def shown_seconds(self) -> Float64Array:
        """The same in seconds from the first frame."""
        return np.asarray((self.shown_ticks - self.shown_ticks[0]) * self.tick_seconds, dtype=np.float64)

    @cached_property
    def keyframe_ordinals(self) -> Int64Array:
        """Positions in decoding order where decoding may start; always includes the first packet."""
        return np.union1d([0], np.flatnonzero(self.is_keyframe)).astype(np.int64)

    def starts_for(self, decoding_ordinals: Int64Array) -> Int64Array:
        """Where decoding must start for each packet's frame: the last keyframe before it that is not shown later.

        (A frame that follows a keyframe in the file but is shown before it may need what came before that keyframe.)
        """
        keyframes = self.keyframe_ordinals
        places = np.searchsorted(keyframes, decoding_ordinals, side="right") - 1
        while True:
            too_late = (self.pts_ticks[keyframes[places]] > self.pts_ticks[decoding_ordinals]) & (places > 0)
            if not too_late.any():
                return keyframes[places]
            places = places - too_late

    def ordinal_of(self, pts_ticks: int) -> int | None:
        """The decoding ordinal of the packet with this timestamp; None if there is none."""
        place = int(np.searchsorted(self.pts_ticks, pts_ticks, sorter=self._sorted_ordinals))
        if place == len(self) or self.pts_ticks[self._sorted_ordinals[place]] != pts_ticks:
            return None
        return int(self._sorted_ordinals[place])

    def __len__(self) -> int:
        return len(self.pts_ticks)


@dataclass(frozen=True)
class ShownTimes:
    """When each frame of a video is first shown, in the order of display."""

    seconds: Float64Array
    """Counted from the first."""
    start_seconds: float
    """Time of the first frame, by the container's clock."""
    tick_seconds: float
    num_before: int
    """Number of frames in the file before the first that can be decoded."""
    are_certain: bool
    """False: timestamps are unreliable, and decoding gave the order."""


@dataclass(frozen=True)
class Run:
    """Consecutive packets that are decoded for some wanted frames."""

    first_ordinal: int
    """Position of a keyframe in decoding order."""
    last_ordinal: int
    """Position of the last packet that is needed."""
    display_ordinals: tuple[int, ...]
    """Positions of the wanted frames in the order of display, ascending."""

    @property
    def num_packets(self) -> int:
        """Number of packets to be read; not all of them are decoded."""
        return self.last_ordinal - self.first_ordinal + 1


def plan_runs(table: PacketTable, display_ordinals: Sequence[int]) -> list[Run]:
    """Plan the runs of packets that give the wanted frames. Between two runs nothing is read or decoded.

    Args:
        table: the stream's packets.
        display_ordinals: positions of the wanted frames, strictly ascending.
    """
    runs: list[Run] = []
    ordinals = table.decoding_ordinals[np.asarray(display_ordinals, dtype=np.int64)]
    starts = table.starts_for(ordinals)
    for display_ordinal, ordinal, start in zip(display_ordinals, ordinals.tolist(), starts.tolist(), strict=True):
        if runs and start <= runs[-1].last_ordinal + 1:
            last = runs[-1]
            wanted = (*last.display_ordinals, display_ordinal)
            runs[-1] = Run(last.first_ordinal, max(last.last_ordinal, ordinal), wanted)
        else:
            runs.append(Run(start, ordinal, (display_ordinal,)))
    return runs
