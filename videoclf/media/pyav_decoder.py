"""Decodes with PyAV, whose wheel contains FFmpeg's libraries.

If the packets' timestamps are reliable, only what the wanted frames need is read and decoded. Decoding starts at the
keyframe before a wanted frame and ends with that frame; frames without dependants are skipped on the way. (This is
exact: the wanted frames are bit for bit those of a full decode.) Runs from one keyframe to the next are independent, so
several are decoded at once if there are cores. Otherwise all frames are decoded in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice

import av
import av.error
import numpy as np

from videoclf.errors import DecodeFailedError
from videoclf.media.budget import Budget, codec_memory_bytes
from videoclf.media.gate import Admission
from videoclf.media.options import ReadOptions
from videoclf.media.ordered_workers import WorkLimits, results_in_order
from videoclf.media.packets import PacketTable, Run, plan_runs
from videoclf.media.pyav_stream import Convert, Fetched, OpenStream, PacketsMisleadError, T

_SMALL_FRAME_PIXELS = 400 * 300
"""Up to this size, handing packets to a codec's threads takes longer than decoding them."""

_SHORT_RUN_PACKETS = 30
"""Less work than this is not worth opening the file a second time for."""

_HELD_BYTES = 48 << 20
"""Of frames that wait for their turn while several runs are decoded at once."""

_REFERS_TO_MISSING = "a frame is damaged, or refers to a damaged one"


class PyavDecoder:
    """Decodes the frames of an admitted file.

    Args:
        admission: the file that the gate admitted.
        options: stream and limits.
        budget: counts time and damage.
        num_threads: number of threads for codecs and runs together.
    """

    def __init__(self, admission: Admission, options: ReadOptions, budget: Budget, num_threads: int) -> None:
        self._open = partial(OpenStream, admission, options, budget)
        self._path = admission.path
        self._budget = budget
        self._num_threads = num_threads
        self._max_memory_bytes = options.limits.max_memory_bytes
        self._lock = threading.Lock()
        self._streams: list[OpenStream] = []
        """All streams that were opened. They are closed at the end, even if another thread still uses one."""
        self._idle: OpenStream | None = None
        self.first_damaged_pts: int | None = None
        """Presentation time of the first damaged keyframe, in ticks."""
        try:
            self._idle = first = self._take_stream()
            self.scan = first.scan()
            self.has_marks = first.has_marks
            """The demuxer found that packets are missing."""
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
        """Close the file and the codecs."""
        with self._lock:
            for stream in self._streams:
                stream.close()
            self._idle = None

    def _take_stream(self) -> OpenStream:
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
        """Discard the open codec, whose state may be unknown."""
        with self._lock:
            idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()

    @contextmanager
    def _stream(self) -> Iterator[OpenStream]:
        stream = self._take_stream()
        try:
            yield stream
        finally:
            self._idle = stream

    def all_frames(self, *, only_first: bool = False) -> Iterator[av.VideoFrame]:
        """Yield every frame in the order of display, at least one. Damaged packets and frames are skipped and counted.

        Args:
            only_first: only the first frame will be requested, which threads would delay.

        Raises:
            DecodeFailedError: there is no frame.
        """
        num_frames = 0
        with self._stream() as stream:
            is_damaged = True  # for all that is known
            if self._num_threads > 1 and not (only_first or self._is_small or self._budget.num_damaged):
                try:
                    for frame in self._sound_frames(stream, self._num_threads):
                        num_frames += 1
                        yield frame
                    is_damaged = False
                except PacketsMisleadError:
                    pass
            if is_damaged:  # one thread tells exactly what it hits
                for frame in islice(self._sound_frames(stream, 1), num_frames, None):
                    num_frames += 1
                    yield frame
        if num_frames == 0:
            raise DecodeFailedError(
                f"no frame of its {self.codec_name} video could be decoded ({self._budget.damage or 'no frame in it'})",
                source=self._path,
                hint="it is damaged, encrypted or cut short: download or copy it again",
            )

    def _sound_frames(self, stream: OpenStream, num_threads: int) -> Iterator[av.VideoFrame]:
        """From the start. With several threads there must be no damage, with one it is counted.

        Raises:
            PacketsMisleadError: there is damage.
        """
        stream.go_to(0, self.scan.table)
        stream.set_threads(num_threads)
        for frame, is_sound in stream.frames():
            if is_sound:
                yield frame
            elif num_threads > 1:
                raise PacketsMisleadError
            else:
                self._budget.note_damage(_REFERS_TO_MISSING)
                if self.first_damaged_pts is None and frame.key_frame:
                    self.first_damaged_pts = frame.pts

    def fetch(self, table: PacketTable, display_ordinals: Sequence[int], convert: Convert[T]) -> Iterator[Fetched[T]]:
        """Yield only these frames (strictly ascending), converted in the threads that decode them.

        Raises:
            PacketsMisleadError: a frame did not come, or was incomplete or out of order.
        """
        if self.has_marks:  # the packets say nothing of frames that are missing
            raise PacketsMisleadError
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
        """Whether the frame on display at this time (by the container's clock) is interlaced.

        False if packets do not lead to the frame.
        """
        table = self.scan.table
        if table is None:
            return False
        ordinal = int(np.argmin(np.abs(table.shown_ticks * table.tick_seconds - pts_seconds)))
        try:
            return any(flag for _, flag in self.fetch(table, [ordinal], _is_interlaced))
        except PacketsMisleadError:
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
        limits = WorkLimits(num_workers, max_jobs=2 * num_workers, max_results_per_job=num_held)
        for fetched in results_in_order(runs, open_worker, limits):
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


def _is_interlaced(frame: av.VideoFrame) -> bool:
    return frame.interlaced_frame
