"""Chooses which of a frame's two timestamps to use.

A decoder returns frames in the order of display, so correct timestamps rise. The presentation timestamps of most files
do. Those of AVI files with packed B-frames (XVID, DivX) do not: there the demuxer can only count packets, and its guess
of the order is 3, 2, 5, 4. Their decoding timestamps rise. FFmpeg counts faults in the same way (its
``best_effort_timestamp``, which PyAV does not expose), but decides before it has seen any frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Protocol, TypeVar


class Stamped(Protocol):
    """A frame as a decoder returns it."""

    @property
    def pts(self) -> int | None:
        """Presentation timestamp in ticks."""
        ...

    @property
    def dts(self) -> int | None:
        """Decoding timestamp of its packet in ticks."""
        ...


Frame = TypeVar("Frame", bound=Stamped)

_FRAMES_AHEAD = 8
"""Seen before the first stamp is believed: a packed B-frame shows within three."""


def trusted_stamps(frames: Iterable[Frame], *, presentation_is_guessed: bool) -> Iterator[tuple[Frame, int | None]]:
    """Yield each frame, in the order of display, with its timestamp in ticks; None if it has none.

    Args:
        frames: in the order of display.
        presentation_is_guessed: the container has decoding timestamps only; they are used. Otherwise presentation
            timestamps are used, unless decoding timestamps have run backwards less often so far.
    """
    stream = iter(frames)
    ahead = list(islice(stream, _FRAMES_AHEAD))
    presentation, decoding = _Account(), _Account()
    for frame in ahead:
        presentation.note(frame.pts)
        decoding.note(frame.dts)
    for number, frame in enumerate(chain(ahead, stream)):
        if number >= len(ahead):
            presentation.note(frame.pts)
            decoding.note(frame.dts)
        believes_decoding = presentation.num_faults + presentation_is_guessed > decoding.num_faults
        first, second = (frame.dts, frame.pts) if believes_decoding else (frame.pts, frame.dts)
        if first is None and not believes_decoding:
            first = second
        yield frame, first


class _Account:
    """Counts how often a row of stamps fails to rise."""

    def __init__(self) -> None:
        self.num_faults = 0
        self._last: int | None = None

    def note(self, stamp: int | None) -> None:
        if stamp is None:
            return
        self.num_faults += self._last is not None and stamp <= self._last
        self._last = stamp
