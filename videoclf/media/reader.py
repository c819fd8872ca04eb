"""Reads videos as windows of frames: in order, in threads, with bounded memory. A failure is a value.

Training, extraction, prediction and checks all read with `read_clips`. Decoding runs in threads (the codecs release
the GIL). Each thread works on one clip and returns one window at a time, so memory is bounded by the number of threads,
not by the length of a video or of the list.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import numpy as np

from videoclf.errors import DecodeFailedError, MediaError
from videoclf.media.frames import RgbFrame, RgbFrames, VideoInfo
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.ordered_workers import Stopped, WorkLimits, results_in_order
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

if TYPE_CHECKING:
    from videoclf.media.isolated import IsolatedVideo

_CHUNK_FRAMES = 16
"""Frames handed to the transform at a time: of a 4K video 400 MB, where a whole window could be 1.6 GB."""


@dataclass(frozen=True)
class ClipRequest:
    """One video to read."""

    path: Path
    fps: float
    """Sample times per second."""
    max_frames: int
    """Maximum number of frames in a window."""
    window_seed: int | None = None
    """None: every window of the video. A number: one window, chosen at random with this seed."""
    shuffle_time: bool = False
    """True: the frames of a window are put in a random order that depends on the file's name alone."""
    jitter_steps: float = 0.0
    """With a ``window_seed``: each sample time is moved by up to this many steps in either direction, never before the
    first
    frame or beyond the last sample time. Up to 0.5, the order is kept."""


T = TypeVar("T")


@dataclass(frozen=True)
class ReadWindow(Generic[T]):
    """One window of one video, transformed."""

    request_index: int
    """Position of the video in the requests."""
    value: T


@dataclass(frozen=True)
class ReadEnd:
    """The end of one video, after its windows."""

    request_index: int
    info: VideoInfo | None
    """None if the file could not be opened."""
    warnings: tuple[str, ...]
    num_repeated: int
    """Number of sample times with the same frame as the sample time before."""
    failure: MediaError | None
    """Why there are no windows, or no more of them."""


Chunks: TypeAlias = Iterator[RgbFrames]
Transform: TypeAlias = Callable[[Chunks], T]
"""Converts one window, given as chunks of frames, to what the consumer needs. Runs in the reader's threads."""


def read_clips(
    requests: Iterable[ClipRequest],
    transform: Transform[T],
    *,
    num_threads: int,
    options: ReadOptions = DEFAULT_READ_OPTIONS,
) -> Iterator[ReadWindow[T] | ReadEnd]:
    """Read videos in the order of the requests: the windows of the first and its end, those of the second, and so on.

    Args:
        requests: taken one by one, shortly before they are needed; may be endless.
        transform: see `Transform`.
        num_threads: number of videos decoded at the same time; as many more may wait, decoded, for the consumer.
        options: decoder, frame selection, isolation and limits.

    Yields:
        For each request zero or more `ReadWindow`, then one `ReadEnd`. A video that cannot be read ends with a
        failure. An exception that is not a `MediaError` (a bug, memory) is raised here.
    """
    for item in read_clips_or_wait(requests, transform, num_threads=num_threads, options=options):
        if item is not None:
            yield item


def read_clips_or_wait(
    requests: Iterable[ClipRequest],
    transform: Transform[T],
    *,
    num_threads: int,
    options: ReadOptions = DEFAULT_READ_OPTIONS,
    max_wait_seconds: float | None = None,
) -> Iterator[ReadWindow[T] | ReadEnd | None]:
    """As `read_clips`, but yields None when nothing has come for ``max_wait_seconds``, so that the caller can go on."""
    reader = _Reader(transform, options, num_threads)
    limits = WorkLimits(num_threads, max_jobs=2 * num_threads, max_results_per_job=2)
    yield from results_in_order(enumerate(requests), reader.worker, limits, max_wait_seconds=max_wait_seconds)


class _Reader(Generic[T]):
    """What the threads behind `read_clips` do with each request."""

    def __init__(self, transform: Transform[T], options: ReadOptions, num_threads: int) -> None:
        self._transform = transform
        self._options = options
        self._num_threads = num_threads
        self._num_clips_in_work = 0
        self._lock = threading.Lock()

    @contextmanager
    def worker(
        self, stopped: threading.Event
    ) -> Iterator[Callable[[tuple[int, ClipRequest]], Iterator[ReadWindow[T] | ReadEnd]]]:
        yield lambda job: self._read(*job, stopped)

    def _read(self, index: int, request: ClipRequest, stopped: threading.Event) -> Iterator[ReadWindow[T] | ReadEnd]:
        info: VideoInfo | None = None
        warnings: tuple[str, ...] = ()
        tally = _Tally()
        failure: MediaError | None = None
        try:
            with (
                self._share_of_threads() as codec_threads,
                open_video(request.path, self._options, num_threads=codec_threads) as video,
            ):
                info = video.info
                windows = _windows(video.plan(request.fps), request)
                moments = SamplingPlan(np.concatenate([w.timestamps_seconds for w in windows]), request.fps)
                frames = _unless(stopped, tally.count(video.frames(moments)))
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
            failure = DecodeFailedError(
                "ends before the first requested time", source=request.path, hint="download or copy the file again"
            )
        yield ReadEnd(index, info, warnings, tally.num_repeated, failure)

    @contextmanager
    def _share_of_threads(self) -> Iterator[int]:
        """Threads for one more codec: all of them where no other clip is in work, so that a single one is fast too."""
        with self._lock:
            self._num_clips_in_work += 1
            share = max(1, self._num_threads // self._num_clips_in_work)
        try:
            yield share
        finally:
            with self._lock:
                self._num_clips_in_work -= 1


def open_video(path: Path, options: ReadOptions, *, num_threads: int) -> Video | IsolatedVideo:
    """Open a video for use as a context manager. It is decoded here or, if the options say so, in a child process.

    Raises:
        MediaError: the video cannot be opened.
    """
    if not options.isolate:
        return Video(path, options, num_threads=num_threads)
    from videoclf.media.isolated import IsolatedVideo  # POSIX only

    return IsolatedVideo(path, options, num_threads=num_threads)


def _unless(stopped: threading.Event, frames: Iterator[RgbFrame]) -> Iterator[RgbFrame]:
    for frame in frames:
        if stopped.is_set():
            raise Stopped
        yield frame


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
    rng = np.random.default_rng(request.window_seed)
    chosen = windows[rng.integers(len(windows))]
    if not request.jitter_steps:
        return [chosen]
    moved = chosen.timestamps_seconds + rng.uniform(-1, 1, len(chosen)) * request.jitter_steps / plan.fps
    return [SamplingPlan(np.clip(moved, 0, plan.timestamps_seconds[-1]), plan.fps)]


def _chunks(frames: Iterator[RgbFrame], request: ClipRequest) -> Chunks:
    if request.shuffle_time:
        held = list(frames)
        seed = list(os.fsencode(request.path.name))
        frames = iter([held[i] for i in np.random.default_rng(seed).permutation(len(held))])
    while chunk := list(islice(frames, _CHUNK_FRAMES)):
        yield RgbFrames.stack(chunk, str(request.path))
