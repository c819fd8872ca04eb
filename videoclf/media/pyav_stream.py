"""An open PyAV container with its video stream and codec, for one thread: packets in, frames out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, TypeAlias, TypeVar

import av
import av.error
import numpy as np

from videoclf.errors import DecodeFailedError, one_line
from videoclf.media.budget import Budget
from videoclf.media.container import (
    StreamScan,
    choose_video_stream,
    iterate_packets,
    open_container,
    scan_packets,
    shows_a_frame,
)
from videoclf.media.damage import DamageTracker, is_marked
from videoclf.media.gate import Admission
from videoclf.media.options import ReadOptions
from videoclf.media.ordered_workers import Stopped
from videoclf.media.packets import PacketTable, Run

_SEEKABLE = frozenset({"avi", "matroska", "mov"})
"""Demuxers with an index of where keyframes lie; the others look for them by bisection, and err."""

_CHEAP_TO_READ_PACKETS = 300
"""Up to so many packets are read and dropped rather than sought over."""

_HELD_PACKET_BYTES = 8 << 20
"""Of packets that are kept from the scan to decoding."""

_KEYFRAMES_ARE_KEYFRAMES = frozenset({
    "av1", "dnxhd", "dvvideo", "ffv1", "flv", "h263", "h264", "hevc", "huffyuv", "libdav1d", "mjpeg", "mpeg1video",
    "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "png", "prores", "theora", "vp8", "vp9", "wmv1", "wmv2",
})  # fmt: skip
"""Codecs whose packets are marked by parsers or muxers that know; in old AVI files of others, deltas are marked too."""

_MISSING = "a packet gives no frame"

T = TypeVar("T")
Fetched: TypeAlias = tuple[int, T]
"""The position of a wanted frame in the order of display, and the result of its conversion."""
Convert = Callable[[av.VideoFrame], T]


class PacketsMisleadError(Exception):
    """The packets did not give the frames that they announced: everything must be decoded in order.

    Internal to this package.
    """


class OpenStream:
    """An open container with its video stream and codec, for one thread."""

    def __init__(self, admission: Admission, options: ReadOptions, budget: Budget) -> None:
        self.admission = admission
        self._options = options
        self._budget = budget
        self._num_threads = 1
        self.container: Any = None
        self.codec: Any = None
        self._codec_lock = threading.Lock()
        self._is_closed = False
        self._beginning: tuple[Any, ...] | None = None
        self._held: list[Any] = []
        """All packets of a small file, kept from the scan on so that they need not be read again."""
        self._held_starts: list[int] = []
        """For each decoding ordinal its position there, including packets before it that an edit list skips."""
        self.has_marks = False
        """The demuxer found that something is missing."""
        self._hands_palette_once = False
        """The demuxer returns a palette with the first packet only."""
        self._open()

    def _open(self) -> None:
        self.container = open_container(self.admission, self._options.limits)
        try:
            self.stream: Any = choose_video_stream(self.container, self.admission, self._options)
        except BaseException:
            self.close()
            raise
        self.codec = self.stream.codec_context
        self._packets: Iterator[Any] = iterate_packets(self.container, self.stream)
        self._next_ordinal: int | None = 0
        self._is_after_discarded = False

    def close(self) -> None:
        """Close the file and the codec. Any thread may call it, even while another one decodes."""
        self._is_closed = True
        if self._codec_lock.acquire(blocking=False):  # else who decodes does it
            self._still_threads()
            self._codec_lock.release()
        if self.container is not None:
            self.container.close()

    def __del__(self) -> None:
        if not self._is_closed:
            self.close()

    def _still_threads(self) -> None:
        """A codec's threads free packets' numbers, and for that they need the interpreter. Who frees a codec holds the
        interpreter and waits for its threads, for ever (libdav1d); to flush it waits without holding it."""
        if self.codec is not None and self.codec.is_open and self.codec.thread_count != 1:
            self.codec.flush_buffers()

    def set_threads(self, num_threads: int) -> None:
        """Set the codec's number of threads for when it is opened. A codec that is already running is opened again."""
        is_other_number, self._num_threads = num_threads != self._num_threads, num_threads
        if self.codec.is_open and is_other_number:
            self._reopen()
        if not self.codec.is_open:
            self.codec.thread_count = num_threads
            self.codec.copy_opaque = True  # see DamageTracker
            if num_threads > 1:  # a picture may come out before the thread that conceals damage in it marks it
                self.codec.options = {**self.codec.options, "err_detect": "explode"}
            self.stream.thread_type = "NONE" if num_threads == 1 else "AUTO"
            # at once: some codecs (dav1d) look at skip_frame when they are opened, and never again
            self.codec.skip_frame = "DEFAULT"
            try:
                self.codec.open(strict=False)
            except av.error.MemoryError:
                raise self._budget.out_of_memory() from None
            except (av.error.FFmpegError, ValueError) as error:
                raise DecodeFailedError(
                    f"its {self.codec.name} codec cannot be opened ({one_line(error)})",
                    source=self.admission.path,
                    hint="it is damaged: download or copy it again",
                ) from error

    def scan(self) -> StreamScan:
        """Read all packets without decoding them. The container is at its end afterwards."""
        self._next_ordinal = None
        first = next(self._packets, None)
        if first is not None and not isinstance(first, av.error.FFmpegError):
            self._hands_palette_once = first.has_sidedata("palette")
            self._beginning = _place(first)
        packets = chain([first], self._packets) if first is not None else self._packets
        scan = scan_packets(
            self._held_while_few(packets), self.container, self.stream, self.admission, self._options.limits
        )
        if scan.table is not None and not self.marks_keyframes:
            no_keyframes = np.zeros_like(scan.table.is_keyframe)
            return replace(scan, table=replace(scan.table, is_keyframe=no_keyframes))
        return scan

    def _held_while_few(self, packets: Iterable[Any]) -> Iterator[Any]:
        held: list[Any] = []
        starts = [0]
        num_bytes = 0
        for packet in packets:
            self.has_marks |= not isinstance(packet, av.error.FFmpegError) and is_marked(packet, self.admission.demuxer)
            if num_bytes <= _HELD_PACKET_BYTES:
                held.append(packet)
                if not isinstance(packet, av.error.FFmpegError):
                    num_bytes += packet.size
                    if shows_a_frame(packet):
                        starts.append(len(held))
            yield packet
        if num_bytes <= _HELD_PACKET_BYTES:
            self._held, self._held_starts = held, starts

    @property
    def marks_keyframes(self) -> bool:
        """Whether decoding can start at packets that are marked as keyframes."""
        return not self._hands_palette_once and self._codec_marks_keyframes

    @property
    def _codec_marks_keyframes(self) -> bool:
        return self.codec.name in _KEYFRAMES_ARE_KEYFRAMES or bool(self.codec.codec.intra_only)

    def frames(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield all frames from here on, in the order of display, and whether each is intact."""
        self.codec.skip_frame = "DEFAULT"
        tracker = self._tracker()
        for frame, is_sound in self._decoded(tracker):
            self._note_lost(tracker)
            yield frame, is_sound
        self._note_lost(tracker)

    def _note_lost(self, tracker: DamageTracker) -> None:
        if tracker.num_lost and self._num_threads > 1:
            raise PacketsMisleadError
        while tracker.num_lost:
            tracker.num_lost -= 1
            self._budget.note_damage(_MISSING)

    def _decoded(self, tracker: DamageTracker) -> Iterator[tuple[av.VideoFrame, bool]]:
        for packet in self._packets:
            self._count(packet)
            yield from self._decode(packet, tracker)
        yield from tracker.rest()

    def fetch(
        self, run: Run, table: PacketTable, convert: Convert[T], stopped: threading.Event | None = None
    ) -> Iterator[Fetched[T]]:
        """Yield the wanted frames of one run."""
        wanted = {int(table.shown_ticks[ordinal]): ordinal for ordinal in run.display_ordinals}
        awaited = deque(wanted)
        last_pts: int | None = None
        for frame, is_sound in self._frames_of(run, table, wanted):
            if stopped is not None and stopped.is_set():
                raise Stopped
            is_first = last_pts is None
            if frame.pts is None or (last_pts is not None and frame.pts <= last_pts) or frame.pts > awaited[0]:
                raise PacketsMisleadError
            if not is_sound or (is_first and run.first_ordinal > 0 and not frame.key_frame):
                raise PacketsMisleadError
            last_pts = frame.pts
            if frame.pts == awaited[0]:
                yield wanted[awaited.popleft()], convert(frame)
                if not awaited:
                    return
        raise PacketsMisleadError

    def _frames_of(self, run: Run, table: PacketTable, wanted: Container[int]) -> Iterator[tuple[av.VideoFrame, bool]]:
        """What the codec gives of a run, in the order of display: the wanted frames and those that others refer to; and
        whether each is sound."""
        self.go_to(run.first_ordinal, table)
        tracker = self._tracker()
        for packet in self._packets:
            ordinal = self._next_ordinal
            is_counted = self._count(packet)
            if is_counted:
                if ordinal is None or packet.pts != table.pts_ticks[ordinal]:
                    raise PacketsMisleadError
                self.codec.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            yield from self._decode(packet, tracker)
            if is_counted and ordinal == run.last_ordinal:
                break
        self.codec.skip_frame = "DEFAULT"
        yield from self._decode(None, tracker)
        yield from tracker.rest()

    def _tracker(self) -> DamageTracker:
        return DamageTracker(self.codec, self.admission.demuxer)

    def _count(self, packet: Any) -> bool:
        """Keep account of where the container stands; whether the packet has a place in decoding order."""
        if isinstance(packet, av.error.FFmpegError) or packet.size == 0:  # broken off, or the end
            self._next_ordinal = None
            return False
        self._is_after_discarded = packet.is_discard
        if packet.is_discard:
            return False
        if self._next_ordinal is not None:
            self._next_ordinal += 1
        return True

    def _decode(self, packet: Any, tracker: DamageTracker) -> Iterator[tuple[av.VideoFrame, bool]]:
        """The frames that come of one packet (None: those that are still inside) and are settled, and whether each is
        sound; damage is counted."""
        if isinstance(packet, av.error.FFmpegError):
            self._budget.note_damage(packet.strerror)
            return
        try:
            with self._codec_lock:
                frames: list[av.VideoFrame] = self._budget.timed(tracker.decoded, packet, self.codec.decode)
                if self._is_closed:
                    self._still_threads()
                    raise Stopped
        except av.error.MemoryError:
            raise self._budget.out_of_memory() from None
        except av.error.EOFError:
            return  # the codec had been told of the end already
        except av.error.FFmpegError as error:
            if self._num_threads > 1:
                raise PacketsMisleadError from None
            # some decoders say -1, which FFmpeg takes for "operation not permitted"
            self._budget.note_damage("not a picture" if isinstance(error, PermissionError) else error.strerror)
            tracker.fail()
            return
        for frame in frames:
            self._budget.check_size(frame.width, frame.height)
        yield from tracker.leave(frames)

    def go_to(self, ordinal: int, table: PacketTable | None) -> None:
        """Seek to the packet with this position in decoding order. Without a table only 0 is possible."""
        if self.codec.is_open:
            self.codec.flush_buffers()
        at = self._next_ordinal
        if at == ordinal and not self._is_after_discarded:
            return
        if self._held:
            self._packets = iter(self._held[self._held_starts[ordinal] :])
            self._next_ordinal, self._is_after_discarded = ordinal, False
            return
        if table is None:
            self._reopen()
        elif at is not None and at < ordinal <= at + _CHEAP_TO_READ_PACKETS:
            self._drop_until(ordinal, table)
        else:
            if self.admission.demuxer not in _SEEKABLE or not self._seek(ordinal, table):
                self._reopen()
            self._drop_until(ordinal, table)

    def _reopen(self) -> None:
        self.close()
        self._is_closed = False
        self._open()
        self.set_threads(self._num_threads)

    def _drop_until(self, ordinal: int, table: PacketTable) -> None:
        while self._next_ordinal != ordinal:
            at = self._next_ordinal
            packet = next(self._packets, None)
            if packet is None or (self._count(packet) and (at is None or packet.pts != table.pts_ticks[at])):
                raise PacketsMisleadError

    def _seek(self, ordinal: int, table: PacketTable) -> bool:
        """Whether the demuxer's index led to the packet, or to one before it. (Some indexes go by presentation stamps,
        some by decoding stamps.)"""
        for stamp in (table.pts_ticks[ordinal], table.dts_ticks[ordinal]):
            try:
                self.container.seek(int(stamp), stream=self.stream, backward=True)
            except (av.error.FFmpegError, OverflowError):
                return False
            packets = iterate_packets(self.container, self.stream)
            skipped: list[Any] = []
            for packet in packets:
                skipped.append(packet)
                if isinstance(packet, av.error.FFmpegError) or shows_a_frame(packet):
                    break
            if not skipped or isinstance(skipped[-1], av.error.FFmpegError) or skipped[-1].pts is None:
                return False
            at = table.ordinal_of(skipped[-1].pts)
            if ordinal == 0 and (self._hands_palette_once or _place(skipped[0]) != self._beginning):
                return False  # what an edit list leaves out may be needed to decode what follows
            if at is not None and at <= ordinal:
                self._packets = chain(skipped, packets)
                self._next_ordinal = at
                self._is_after_discarded = False
                return True
        return False


def _place(packet: Any) -> tuple[Any, ...]:
    return packet.pos, packet.dts, packet.size
