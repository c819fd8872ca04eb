"""Frames by PyAV: FFmpeg's libraries inside the wheel.

Where the packets' timestamps can be believed, only what the wanted frames need is read and decoded: decoding starts at
the keyframe before a wanted frame and ends with it, and what no other frame refers to is skipped on the way. (That is
exact: the wanted frames are bit for bit those of a full decode.) Runs from one keyframe to the next do not depend on
each other, so several are decoded at once where there are cores. Elsewhere all frames are decoded, one after the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, TypeAlias, TypeVar

import av
import av.error
import numpy as np

from videoclf.errors import DecodeFailed, one_line
from videoclf.media.budget import Budget, codec_memory_bytes
from videoclf.media.container import (
    StreamScan,
    choose_video_stream,
    iterate_packets,
    open_container,
    scan_packets,
    shows_a_frame,
)
from videoclf.media.gate import Admission
from videoclf.media.lanes import LaneLimits, Stopped, work_in_lanes
from videoclf.media.options import ReadOptions
from videoclf.media.packets import PacketTable, Run, plan_runs

_SEEKABLE = frozenset({"avi", "matroska", "mov"})
"""Demuxers with an index of where keyframes lie; the others look for them by bisection, and err."""

_CHEAP_TO_READ_PACKETS = 300
"""Up to so many packets are read and dropped rather than sought over."""

_SMALL_FRAME_PIXELS = 400 * 300
"""Up to this size, handing packets to a codec's threads takes longer than decoding them."""

_SHORT_RUN_PACKETS = 30
"""Less work than this is not worth opening the file a second time for."""

_HELD_PACKET_BYTES = 8 << 20
"""Of packets that are kept from the scan to decoding."""

_HELD_BYTES = 48 << 20
"""Of frames that wait for their turn while several runs are decoded at once."""

_KEYFRAMES_ARE_KEYFRAMES = frozenset({
    "av1", "dnxhd", "dvvideo", "ffv1", "flv", "h263", "h264", "hevc", "huffyuv", "libdav1d", "mjpeg", "mpeg1video",
    "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "png", "prores", "theora", "vp8", "vp9", "wmv1", "wmv2",
})  # fmt: skip
"""Codecs whose packets are marked by parsers or muxers that know; in old AVI files of others, deltas are marked too."""

_REFERS_TO_MISSING = "a frame refers to missing ones"

T = TypeVar("T")
Fetched: TypeAlias = tuple[int, T]
"""A wanted frame's place in the order of display, and what it was converted to."""
Convert = Callable[[av.VideoFrame], T]


class PacketsMislead(Exception):
    """The packets did not give the frames that they announced: all must be decoded, in order.

    Never leaves this room.
    """


class PyavDecoder:
    """An admitted file's frames.

    Args:
        admission: what the gate let through.
        options: stream and limits.
        budget: where time and damage are counted.
        num_threads: for codecs and runs together.
    """

    def __init__(self, admission: Admission, options: ReadOptions, budget: Budget, num_threads: int) -> None:
        self._open = partial(_OpenStream, admission, options, budget)
        self._path = admission.path
        self._budget = budget
        self._num_threads = num_threads
        self._max_memory_bytes = options.limits.max_memory_bytes
        self._lock = threading.Lock()
        self._streams: list[_OpenStream] = []
        """All that were opened; to be closed at the end, whoever still holds them."""
        self._idle: _OpenStream | None = None
        try:
            self._idle = first = self._take_stream()
            self.scan = first.scan()
            codec, aspect = first.codec, first.stream.sample_aspect_ratio
            budget.check_size(codec.width, codec.height)
            self.marks_keyframes = first.marks_keyframes
            self.stream_index = int(first.stream.index)
            video_streams = first.container.streams.video
            self.video_stream = video_streams.index(first.stream)
            self.has_several_video_streams = len(video_streams) > 1
            self.codec_name = str(codec.name)
            self.tick_seconds = float(self._idle.stream.time_base or 0)
            self.pixel_aspect = float(aspect) if aspect else 1.0
            self._num_pixels = codec.width * codec.height
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back the file and the codecs."""
        with self._lock:
            for stream in self._streams:
                stream.close()
            self._idle = None

    def _take_stream(self) -> _OpenStream:
        """The stream that is open already, or one more; who takes it closes it, or sets it idle."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            return idle
        stream = self._open()
        with self._lock:
            self._streams.append(stream)
        return stream

    def start_anew(self) -> None:
        """Give up the open codec, which may have been left in a state of its own."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()

    @contextmanager
    def _stream(self) -> Iterator[_OpenStream]:
        stream = self._take_stream()
        try:
            yield stream
        finally:
            self._idle = stream

    def all_frames(self, *, only_first: bool = False) -> Iterator[av.VideoFrame]:
        """Every frame in the order of display, one at least; damaged packets and frames are passed over and counted.

        Args:
            only_first: no more than the first will be asked for, which threads would delay.

        Raises:
            DecodeFailed: there is none.
        """
        num_frames, num_damaged = 0, self._budget.num_damaged
        refers_to_damage = False
        with self._stream() as stream:
            stream.go_to(0, self.scan.table)
            stream.set_threads(1 if only_first or self._is_small else self._num_threads)
            for frame in stream.frames():
                refers_to_damage |= self._budget.num_damaged > num_damaged and self.marks_keyframes
                num_damaged = self._budget.num_damaged
                refers_to_damage &= not frame.key_frame
                if frame.is_corrupt or refers_to_damage:
                    self._budget.note_damage(_REFERS_TO_MISSING)
                    num_damaged = self._budget.num_damaged
                    continue
                num_frames += 1
                yield frame
        if num_frames == 0:
            raise DecodeFailed(
                f"{self._path}: no frame of its {self.codec_name} video could be decoded "
                f"({self._budget.damage or 'no frame in it'}); it is damaged, encrypted or cut short: get it again"
            )

    def fetch(self, table: PacketTable, display_ordinals: Sequence[int], convert: Convert[T]) -> Iterator[Fetched[T]]:
        """Only these frames (strictly ascending), converted in the threads that decode them.

        Raises:
            PacketsMislead: a frame did not come, or not whole, or out of order.
        """
        runs = plan_runs(table, display_ordinals)
        num_workers = self._num_workers(runs)
        if num_workers > 1:
            yield from self._fetch_in_parallel(runs, table, convert, num_workers)
            return
        is_short = sum(run.num_packets for run in runs) < _SHORT_RUN_PACKETS
        with self._stream() as stream:
            stream.set_threads(1 if self._is_small or is_short else self._num_threads)
            for run in runs:
                yield from stream.fetch(run, table, convert)

    def is_interlaced(self, pts_seconds: float) -> bool:
        """Whether the odd and even rows of the frame shown then (by the container's clock) are half a frame apart.

        False where packets do not lead to it.
        """
        table = self.scan.table
        if table is None:
            return False
        ordinal = int(np.argmin(np.abs(table.shown_ticks * table.tick_seconds - pts_seconds)))
        try:
            return any(flag for _, flag in self.fetch(table, [ordinal], _is_interlaced))
        except PacketsMislead:
            return False

    def _fetch_in_parallel(
        self, runs: list[Run], table: PacketTable, convert: Convert[T], num_workers: int
    ) -> Iterator[Fetched[T]]:
        @contextmanager
        def open_worker(stopped: threading.Event) -> Iterator[Callable[[Run], Iterator[Fetched[T]]]]:
            with closing(self._take_stream()) as stream:
                stream.set_threads(1)
                yield lambda run: stream.fetch(run, table, convert, stopped)

        num_held = max(1, _HELD_BYTES // max(1, self._num_pixels * 3 * 2 * num_workers))
        limits = LaneLimits(num_workers, max_jobs=2 * num_workers, max_results_per_lane=num_held)
        for fetched in work_in_lanes(runs, open_worker, limits):
            if fetched is not None:
                yield fetched

    @property
    def _is_small(self) -> bool:
        return bool(self._num_pixels <= _SMALL_FRAME_PIXELS)

    def _num_workers(self, runs: list[Run]) -> int:
        """As many as there are threads, if there is work for them and no run is so long that the others would wait."""
        num_packets = [run.num_packets for run in runs]
        num_workers = min(self._num_threads, len(runs))
        if self._is_small or num_workers < 2 or sum(num_packets) < _SHORT_RUN_PACKETS * num_workers:
            return 1
        codec_bytes = codec_memory_bytes(self._num_pixels)
        num_workers = max(1, min(num_workers, self._max_memory_bytes // (2 * max(1, codec_bytes))))
        return num_workers if sum(num_packets) >= 0.75 * num_workers * max(num_packets) else 1


class _OpenStream:
    """One open container, its video stream and that stream's codec; for one thread."""

    def __init__(self, admission: Admission, options: ReadOptions, budget: Budget) -> None:
        self.admission = admission
        self._options = options
        self._budget = budget
        self._num_threads = 1
        self._beginning: tuple[Any, ...] | None = None
        self._held: list[Any] = []
        """All packets of a small file, from the scan on: they need not be sought and read again."""
        self._held_starts: list[int] = []
        """For each decoding ordinal its place there, what an edit list leaves out before it included."""
        self._hands_palette_once = False
        """The demuxer does so with the first packet it reads, and never again."""
        self._open()

    def _open(self) -> None:
        self.container: Any = open_container(self.admission, self._options.limits)
        try:
            self.stream: Any = choose_video_stream(self.container, self.admission, self._options)
        except BaseException:
            self.close()
            raise
        self.codec: Any = self.stream.codec_context
        self._packets: Iterator[Any] = iterate_packets(self.container, self.stream)
        self._next_ordinal: int | None = 0
        self._is_after_discarded = False

    def close(self) -> None:
        self.container.close()

    def set_threads(self, num_threads: int) -> None:
        """For the codec, once it is opened; a codec that runs already is opened anew."""
        if self.codec.is_open and num_threads != self._num_threads:
            self._reopen()
        if not self.codec.is_open:
            self._num_threads = num_threads
            self.codec.thread_count = num_threads
            self.stream.thread_type = "NONE" if num_threads == 1 else "AUTO"
            # at once: some codecs (dav1d) look at skip_frame when they are opened, and never again
            self.codec.skip_frame = "DEFAULT"
            try:
                self.codec.open(strict=False)
            except av.error.MemoryError:
                raise self._budget.out_of_memory() from None
            except (av.error.FFmpegError, ValueError) as error:
                raise DecodeFailed(
                    f"{self.admission.path}: its {self.codec.name} codec cannot be opened ({one_line(error)}); it is "
                    "damaged: get it again"
                ) from error

    def scan(self) -> StreamScan:
        """Read all packets, decoding none; afterwards the container stands at its end."""
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

    def frames(self) -> Iterator[av.VideoFrame]:
        """All from here on, in the order of display."""
        self.codec.skip_frame = "DEFAULT"
        for packet in self._packets:
            self._count(packet)
            yield from self._decode(packet)

    def fetch(
        self, run: Run, table: PacketTable, convert: Convert[T], stopped: threading.Event | None = None
    ) -> Iterator[Fetched[T]]:
        """The wanted frames of one run."""
        wanted = {int(table.shown_ticks[ordinal]): ordinal for ordinal in run.display_ordinals}
        awaited = deque(wanted)
        last_pts: int | None = None
        for frame in self._frames_of(run, table, wanted):
            if stopped is not None and stopped.is_set():
                raise Stopped
            is_first = last_pts is None
            if frame.pts is None or (last_pts is not None and frame.pts <= last_pts) or frame.pts > awaited[0]:
                raise PacketsMislead
            if frame.is_corrupt or (is_first and run.first_ordinal > 0 and not frame.key_frame):
                raise PacketsMislead
            last_pts = frame.pts
            if frame.pts == awaited[0]:
                yield wanted[awaited.popleft()], convert(frame)
                if not awaited:
                    return
        raise PacketsMislead

    def _frames_of(self, run: Run, table: PacketTable, wanted: Container[int]) -> Iterator[av.VideoFrame]:
        """What the codec gives of a run, in the order of display: the wanted frames and those that others refer to."""
        self.go_to(run.first_ordinal, table)
        for packet in self._packets:
            ordinal = self._next_ordinal
            is_counted = self._count(packet)
            if is_counted:
                if ordinal is None or packet.pts != table.pts_ticks[ordinal]:
                    raise PacketsMislead
                self.codec.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            yield from self._decode(packet)
            if is_counted and ordinal == run.last_ordinal:
                break
        self.codec.skip_frame = "DEFAULT"
        yield from self._decode(None)

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

    def _decode(self, packet: Any) -> list[av.VideoFrame]:
        """The frames that come of one packet (None: those that are still inside); damage is counted."""
        try:
            if isinstance(packet, av.error.FFmpegError):
                raise packet
            frames: list[av.VideoFrame] = self._budget.timed(self.codec.decode, packet)
        except av.error.MemoryError:
            raise self._budget.out_of_memory() from None
        except av.error.EOFError:
            return []  # the codec had been told of the end already
        except av.error.FFmpegError as error:
            self._budget.note_damage(error.strerror)
            return []
        for frame in frames:
            self._budget.check_size(frame.width, frame.height)
        return frames

    def go_to(self, ordinal: int, table: PacketTable | None) -> None:
        """The next packet is the one with this place in decoding order; without a table only 0 can be gone to."""
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
        num_threads = self._num_threads
        self.close()
        self._open()
        self.set_threads(num_threads)

    def _drop_until(self, ordinal: int, table: PacketTable) -> None:
        while self._next_ordinal != ordinal:
            at = self._next_ordinal
            packet = next(self._packets, None)
            if packet is None or (self._count(packet) and (at is None or packet.pts != table.pts_ticks[at])):
                raise PacketsMislead

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


def _is_interlaced(frame: av.VideoFrame) -> bool:
    return frame.interlaced_frame
