"""The one reader: videos to windows of frames; ordered, bounded, threaded, and a failure is a value.

Training, extraction, prediction and checks all read through `read_clips`. Decoding runs in threads (the codecs release
the GIL); each thread works on one clip and hands over one window at a time, so that what is held is bounded by the
number of threads, not by the length of a video or of the list.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from videoclf.errors import DecodeFailed, MediaError
from videoclf.media.frames import RgbFrame, RgbFrames, VideoInfo
from videoclf.media.limits import DEFAULT_LIMITS, Limits
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

_CHUNK_FRAMES = 16
"""Frames handed to the transform at a time: of a 4K video 400 MB, where a whole window could be 1.6 GB."""

_STOP_CHECK_SECONDS = 0.1

_STOP_WAIT_SECONDS = 2.0
"""How long a closing reader waits for a thread; one that is held up in the caller's own iterable (a pipe, say) or in a
codec is left to end by itself."""


@dataclass(frozen=True)
class ClipRequest:
    """One video to read."""

    path: Path
    fps: float
    """Moments a second."""
    max_frames: int
    """Moments in a window, at most."""
    window_seed: int | None = None
    """None: every window of the video. A number: one of them, chosen at random by it."""
    shuffle_time: bool = False
    """True: the frames of a window are put in a random order that depends on the file's name alone."""


T = TypeVar("T")


@dataclass(frozen=True)
class ReadWindow(Generic[T]):
    """One window of one video, transformed."""

    request_index: int
    """Position of the video among the requests."""
    value: T


@dataclass(frozen=True)
class ReadEnd:
    """The last word on one video, after its windows."""

    request_index: int
    info: VideoInfo | None
    """None where the file could not be opened."""
    warnings: tuple[str, ...]
    num_repeated: int
    """Moments that show the same frame as the moment before."""
    failure: MediaError | None
    """Why there is no window, or not the rest of them."""


Chunks: TypeAlias = Iterator[RgbFrames]
Transform: TypeAlias = Callable[[Chunks], T]
"""Turns one window, given as chunks of frames, into what the consumer wants. Runs in the reader's threads."""

_Item: TypeAlias = ReadWindow[T] | ReadEnd
_Lane: TypeAlias = "queue.Queue[_Item[T] | BaseException]"
"""Where one clip's items wait for the consumer; an exception in it is a bug or a lack of memory, not a bad file."""


def read_clips(
    requests: Iterable[ClipRequest],
    transform: Transform[T],
    *,
    num_threads: int,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[ReadWindow[T] | ReadEnd]:
    """Read videos in the order asked for: the windows of the first and its end, those of the second, ...

    Args:
        requests: taken one by one, shortly before they are needed; may be endless.
        transform: see `Transform`.
        num_threads: videos in work at once; as many more may wait, decoded, for the consumer.
        limits: what is refused.

    Yields:
        For each request zero or more `ReadWindow`, then one `ReadEnd`. A video that cannot be read ends with a
        failure; an exception that is no `MediaError` (a bug, memory) is raised here.
    """
    for item in read_clips_or_wait(requests, transform, num_threads=num_threads, limits=limits):
        if item is not None:
            yield item


def read_clips_or_wait(
    requests: Iterable[ClipRequest],
    transform: Transform[T],
    *,
    num_threads: int,
    limits: Limits = DEFAULT_LIMITS,
    max_wait_seconds: float | None = None,
) -> Iterator[ReadWindow[T] | ReadEnd | None]:
    """As `read_clips`, but gives None whenever nothing has come for ``max_wait_seconds``: time to use what is there."""
    if num_threads < 1:
        raise ValueError(f"num_threads must be at least 1, got {num_threads}")
    team = _Team(requests, transform, num_threads, limits)
    try:
        yield from team.results(max_wait_seconds)
    finally:
        team.stop()


class _Team(Generic[T]):
    """The threads behind `read_clips`: each takes the next request and fills a lane of its own for it."""

    def __init__(
        self, requests: Iterable[ClipRequest], transform: Transform[T], num_threads: int, limits: Limits
    ) -> None:
        self._requests = enumerate(requests)
        self._transform = transform
        self._limits = limits
        self._stopped = threading.Event()
        self._take_lock = threading.Lock()
        self._lanes: queue.Queue[_Lane[T] | BaseException | None] = queue.Queue()
        """One lane a clip, in the order of the requests; None: a thread ended."""
        self._room = threading.Semaphore(2 * num_threads)
        self._codec_threads = 0 if num_threads == 1 else 1
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(num_threads)]
        for thread in self._threads:
            thread.start()

    def results(self, max_wait_seconds: float | None) -> Iterator[_Item[T] | None]:
        num_ended = 0
        while num_ended < len(self._threads):
            try:
                lane = self._lanes.get(timeout=max_wait_seconds)
            except queue.Empty:
                yield None
                continue
            if lane is None:
                num_ended += 1
                continue
            if isinstance(lane, BaseException):
                raise lane
            yield from self._drain(lane, max_wait_seconds)

    def _drain(self, lane: _Lane[T], max_wait_seconds: float | None) -> Iterator[_Item[T] | None]:
        while True:
            try:
                item = lane.get(timeout=max_wait_seconds)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, ReadEnd):
                self._room.release()
                return

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(_STOP_WAIT_SECONDS)

    def _work(self) -> None:
        try:
            while self._wait_for_room() and (taken := self._take()) is not None:
                lane, index, request = taken
                try:
                    for item in self._read(index, request):
                        self._put(lane, item)
                except Exception as error:
                    self._put(lane, error)
        except _Stopped:
            pass
        except BaseException as error:
            self._lanes.put(error)
        finally:
            self._lanes.put(None)

    def _take(self) -> tuple[_Lane[T], int, ClipRequest] | None:
        with self._take_lock:  # taking a request and queueing its lane are one act, so that order is kept
            for index, request in self._requests:
                lane: _Lane[T] = queue.Queue(maxsize=2)
                self._lanes.put(lane)
                return lane, index, request
            return None

    def _read(self, index: int, request: ClipRequest) -> Iterator[_Item[T]]:
        info: VideoInfo | None = None
        warnings: tuple[str, ...] = ()
        tally = _Tally()
        failure: MediaError | None = None
        try:
            with Video(request.path, limits=self._limits, num_threads=self._codec_threads) as video:
                info = video.info
                windows = _windows(video.plan(request.fps), request)
                moments = SamplingPlan(np.concatenate([w.timestamps_seconds for w in windows]), request.fps)
                frames = self._unless_stopped(tally.count(video.frames(moments)))
                for window in windows:
                    first = next(frames, None)
                    if first is None:
                        break
                    rest = chain([first], islice(frames, len(window) - 1))
                    yield ReadWindow(index, self._transform(_chunks(rest, request)))
                warnings = video.warnings
        except MediaError as error:
            failure = error
        if failure is None and tally.num_frames == 0:
            failure = DecodeFailed(f"{request.path}: ends before the first moment asked for; get the file again")
        yield ReadEnd(index, info, warnings, tally.num_repeated, failure)

    def _wait_for_room(self) -> bool:
        while not self._room.acquire(timeout=_STOP_CHECK_SECONDS):
            if self._stopped.is_set():
                return False
        return not self._stopped.is_set()

    def _unless_stopped(self, frames: Iterator[RgbFrame]) -> Iterator[RgbFrame]:
        for frame in frames:
            if self._stopped.is_set():
                raise _Stopped
            yield frame

    def _put(self, lane: _Lane[T], item: _Item[T] | BaseException) -> None:
        while not self._stopped.is_set():
            try:
                return lane.put(item, timeout=_STOP_CHECK_SECONDS)
            except queue.Full:
                continue
        raise _Stopped


class _Stopped(BaseException):
    """The consumer has gone; no `Exception`, so that nothing takes it for a failure."""


class _Tally:
    """Counts frames as they pass."""

    def __init__(self) -> None:
        self.num_frames = 0
        self.num_repeated = 0

    def count(self, frames: Iterator[RgbFrame]) -> Iterator[RgbFrame]:
        last_pts_seconds = None
        for frame in frames:
            self.num_frames += 1
            self.num_repeated += frame.pts_seconds == last_pts_seconds
            last_pts_seconds = frame.pts_seconds
            yield frame


def _windows(plan: SamplingPlan, request: ClipRequest) -> list[SamplingPlan]:
    windows = plan.windows(request.max_frames)
    if request.window_seed is None:
        return windows
    return [windows[np.random.default_rng(request.window_seed).integers(len(windows))]]


def _chunks(frames: Iterator[RgbFrame], request: ClipRequest) -> Chunks:
    if request.shuffle_time:
        held = list(frames)
        seed = list(os.fsencode(request.path.name))
        frames = iter([held[i] for i in np.random.default_rng(seed).permutation(len(held))])
    while chunk := list(islice(frames, _CHUNK_FRAMES)):
        yield RgbFrames.stack(chunk, str(request.path))
