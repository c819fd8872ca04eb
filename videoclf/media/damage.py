"""Finds which of a codec's frames are intact: neither damaged themselves nor referring to a damaged one.

A codec reports damage, if at all, for the damaged frame only, never for the frames that refer to it. Frames are
returned in the order of display, and a reference frame often follows the frames that refer to it. So packets are
numbered as they go in, the numbers come out with the frames, and a frame waits until everything that was decoded
before it is out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import av

from videoclf.media.picture_headers import UNKNOWN, PictureHeader, PictureHeaders

_MAX_WAITING = 16
"""Frames that wait; so many may lie between a picture and one displayed before it that refers to it. A packet that
never gives a frame holds the others up no longer than that."""

_MAX_HEADERS = 64
"""Of packets whose frames are not out yet: what a codec and its threads hold."""

_MARKED_LATE = frozenset({"mpegts"})
"""Demuxers that mark the packet *before* the one in which, or behind which, something is missing: a packet ends where
the next begins, and takes that one's mark."""

_NOTICES_WHAT_IS_MISSING = frozenset({"h263", "h264", "mpeg1video", "mpeg2video", "mpeg4", "vc1"})
"""Decoders that mark a picture of which a part is missing; others show what comes of it."""


class _PacketNumber(int):
    """An object of its own for each packet. PyAV keeps what is handed through a codec by its address, until the first
    packet with that address is freed; small integers are one object for all streams, and got lost on the way."""


def is_marked(packet: Any, demuxer: str) -> bool:
    """Whether the demuxer found that something is missing in the packet after this one, or behind it."""
    return demuxer in _MARKED_LATE and bool(packet.is_corrupt)


class DamageTracker:
    """Separates intact frames from others, for one codec, from the start or from a keyframe on.

    Args:
        codec: open or not; the numbers of packets pass through it as ``opaque``.
        demuxer: name of the demuxer that gives the packets.
    """

    def __init__(self, codec: Any, demuxer: str) -> None:
        self._codec = codec
        self._demuxer = demuxer
        self._notices_what_is_missing = codec.name in _NOTICES_WHAT_IS_MISSING
        self._headers_of = PictureHeaders(codec.name, codec.extradata)
        self._headers: dict[int, PictureHeader] = {}
        """Headers of packets whose frames are not out yet."""
        self._expected: dict[int, int] = {}
        """Presentation times of frames that certainly come, until they are out."""
        self._num_packets = 0
        self.num_lost = 0
        """Number of packets that should have given a frame but did not, without an error; complete after `rest`."""
        self._damaged: list[float] = []
        """Packets that others may refer to, and (a half between two numbers) places where some are missing."""
        self._hit: set[int] = set()
        """Packets that nothing refers to, in or behind which something is missing."""
        self._is_next_marked = False
        self._last_dts: int | None = None
        self._recoveries: list[tuple[int, int]] = []
        """Packets at which recovery begins, and how many pictures it still takes."""
        self._recovered: dict[int, int] = {}
        """For a packet at whose frame recovery is complete the one at which it began."""
        self._waiting: deque[tuple[av.VideoFrame, int]] = deque()
        self._out: set[int] = set()
        self._all_out_before = 0
        """All packets up to this one have given their frames, or failed, or are no longer waited for."""

    def decoded(self, packet: Any, decode: Callable[[Any], list[av.VideoFrame]]) -> list[av.VideoFrame]:
        """Decode a packet (None or an empty one: the end) and return the frames that come out.

        Args:
            packet: the next packet.
            decode: passes a packet to the codec.
        """
        if packet is None or packet.size == 0:
            return decode(packet)
        is_marked_itself = self._enter(packet)
        try:
            return decode(packet)
        finally:
            if is_marked_itself:
                packet.is_corrupt = True  # it may be decoded once more

    def _enter(self, packet: Any) -> bool:
        """Whether the packet is marked; its mark is taken away."""
        number = self._num_packets
        self._num_packets += 1
        packet.opaque = _PacketNumber(number)
        header = self._headers_of.of(memoryview(packet))
        self._headers[number] = header
        self._headers.pop(number - _MAX_HEADERS, None)
        if header.gives_a_frame and packet.pts is not None and not packet.is_discard:
            self._expected[number] = packet.pts
        if header.is_after_gap:
            self._damaged.append(number - 0.5)
        if self._recoveries or header.num_recovery_pictures is not None:
            self._follow_recovery(number, header)
        if self._is_next_marked or self._hit:
            self._follow_marks(number, header, packet)
        self._last_dts = packet.dts
        is_marked_itself = is_marked(packet, self._demuxer)
        self._is_next_marked = is_marked_itself
        if is_marked_itself:  # else the frame of a sound packet comes out as a corrupt one
            packet.is_corrupt = False
        return is_marked_itself

    def fail(self) -> None:
        """The codec reported an error instead of the last packet's frame. (A codec with threads reports it later.)"""
        number = self._num_packets - 1
        if self._took_out(number).is_referred_to:
            self._damaged.append(number)

    def leave(self, frames: Iterable[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, bool]]:
        """The frames that can be assessed by now, in the order of display, and whether each is intact.

        Args:
            frames: frames that came out of the codec.
        """
        for frame in frames:
            number = frame.opaque if isinstance(frame.opaque, _PacketNumber) else self._num_packets - 1
            if self._took_out(number).is_referred_to and frame.is_corrupt:
                self._damaged.append(number)
            self._waiting.append((frame, number))
        while self._waiting and self._is_settled(self._waiting[0][1]):
            yield self._judged(*self._waiting.popleft())

    def rest(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        """The frames that still wait, once nothing more comes out of the codec."""
        while self._waiting:
            yield self._judged(*self._waiting.popleft())
        self._count_lost(None)

    def _follow_marks(self, number: int, header: PictureHeader, packet: Any) -> None:
        """Something is missing in a packet that is marked, or behind it: whole pictures, perhaps."""
        if self._is_next_marked and header.is_referred_to:
            self._damaged += [number + 0.5] if self._notices_what_is_missing else [number, number + 0.5]
        elif self._is_next_marked:
            self._hit.add(number)
            self._damaged.append(number + 0.5)
        elif number - 1 in self._hit and 0 < (packet.dts or 0) - (self._last_dts or 0) <= 1.5 * (packet.duration or 0):
            self._damaged = [at for at in self._damaged if at != number - 0.5]  # no picture is missing between the two

    def _took_out(self, number: int) -> PictureHeader:
        self._out.add(number)
        self._expected.pop(number, None)
        return self._headers.pop(number, UNKNOWN)

    def _count_lost(self, pts_ticks: int | None) -> None:
        """What should be displayed before a frame is lost when the frame comes; None: before the end."""
        for number, pts in list(self._expected.items()):
            if pts_ticks is None or pts < pts_ticks:
                del self._expected[number]
                self.num_lost += 1

    def _follow_recovery(self, number: int, header: PictureHeader) -> None:
        if header.is_referred_to:
            self._recoveries = [(begin, num_left - 1) for begin, num_left in self._recoveries]
        if header.num_recovery_pictures is not None:
            self._recoveries.append((number, header.num_recovery_pictures))
        for begin, num_left in self._recoveries:
            if num_left == 0:
                self._recovered[number] = begin
        self._recoveries = [recovery for recovery in self._recoveries if recovery[1] > 0]
        self._recovered.pop(number - _MAX_HEADERS, None)

    def _is_settled(self, number: int) -> bool:
        """Whether all that a frame may refer to is out."""
        while self._all_out_before in self._out:
            self._out.discard(self._all_out_before)
            self._all_out_before += 1
        if number < self._all_out_before or not self._codec.reorder_depth:
            return True
        if len(self._waiting) <= _MAX_WAITING:
            return False
        self._all_out_before = number + 1
        self._out = {other for other in self._out if other > number}
        return True

    def _judged(self, frame: av.VideoFrame, number: int) -> tuple[av.VideoFrame, bool]:
        if self._expected and frame.pts is not None:
            self._count_lost(frame.pts)
        if not (self._damaged or self._hit):
            return frame, not frame.is_corrupt
        if self._damaged and not frame.is_corrupt:
            begin = number if frame.key_frame and number not in self._damaged else self._recovered.get(number, 0)
            self._damaged = [at for at in self._damaged if at >= begin]
        is_hit = frame.is_corrupt or number in self._hit or any(at <= number for at in self._damaged)
        return frame, not is_hit
