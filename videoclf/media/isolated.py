"""Decodes a video in a child process. If a codec crashes, hangs or takes too much memory, only the child ends."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from videoclf.errors import DecodeFailedError, SourceRefusedError, VideoclfError, error_class
from videoclf.media.frames import Float64Array, RgbFrame, UInt8Array, VideoInfo
from videoclf.media.isolated_messages import (
    Bug,
    Closed,
    CloseRequest,
    Ended,
    Failed,
    FrameHead,
    FramesRequest,
    Message,
    Opened,
    OpenRequest,
    OutOfMemory,
)
from videoclf.media.isolated_pool import Child, ChildNotReadyError, children, signal_name
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.sampling import SamplingPlan, plan_constant_rate

_MAX_CLOSE_SECONDS = 2.0
"""A child that is still at the next frame then is replaced: starting one takes 0.2 s."""

_DEATH_SECONDS = 2.0
"""Between the end of a child's pipe and its exit status."""


class IsolatedVideo:
    """As `Video`, but the codec runs in a child process. Use it as a context manager, in one thread.

    Child processes are reused for later videos, and end with the interpreter.

    Args:
        path: a file. The gate decides, in the child, whether a decoder may open it.
        options: as for `Video`; ``limits.max_stall_seconds`` and ``limits.max_memory_bytes`` are enforced.
        num_threads: threads of the codec, as for `Video`.

    Raises:
        VideoclfError: as `Video` does.
        DecodeFailedError: also if the codec crashed or was stuck, or its process did not start. Earlier frames are
            intact.
        SourceRefusedError: also if decoding needs more memory than allowed.
        DeviceUnavailableError: no process can be started for any video.
        RuntimeError: a bug; the text contains the child's traceback.
    """

    def __init__(self, path: str | Path, options: ReadOptions = DEFAULT_READ_OPTIONS, *, num_threads: int = 0) -> None:
        self.path = Path(path)
        self._limits = options.limits
        self._process_id = os.getpid()
        self._num_frames = 0
        self._num_wanted: int | None = None
        """Number of requested sample times; None before a request."""
        self._child: Child | None = None
        request = OpenRequest(self.path, _current_folder(), dataclasses.replace(options, isolate=False), num_threads)
        with self._blamed():
            answer = self._open(request)
            if isinstance(answer, Opened):
                self._check(answer.info)
        if not isinstance(answer, Opened):
            raise self._failure(answer)
        self.info: VideoInfo = dataclasses.replace(answer.info, path=self.path)
        self.warnings = answer.warnings
        """The problems found so far; complete once `frames` is exhausted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._child is None or self._process_id != os.getpid():  # a forked process must not talk to this child
            return
        has_all = self._num_wanted is None or self._num_frames == self._num_wanted
        try:
            self._close(self._child)
        except TimeoutError:
            self._discard()
        except DecodeFailedError:
            if kind is None and has_all:  # else it crashed on its way to frames that nobody wants
                raise

    @property
    def child_pid(self) -> int | None:
        """The id of the process that decodes; None if the video is closed or has failed."""
        return self._child.pid if self._child else None

    def plan(self, fps: float) -> SamplingPlan:
        """The sample times of this video at a constant rate (``fps`` a second)."""
        return plan_constant_rate(self.info.duration_seconds, fps=fps)

    def frames(self, plan: SamplingPlan) -> Iterator[RgbFrame]:
        """As `Video.frames`. The child decodes at most 1 MB and one frame ahead."""
        if self._child is None or self._num_wanted is not None:
            raise RuntimeError(f"{self.path}: frames were requested from a closed video, or for the second time")
        self._num_wanted = len(plan)
        moments: Float64Array = np.ascontiguousarray(plan.timestamps_seconds, np.float64)
        with self._blamed():
            self._child.wire.send(FramesRequest(plan.fps), moments.data, self._deadline())
        rgb: UInt8Array | None = None
        while True:
            with self._blamed():
                answer, payload_bytes = self._child.wire.receive(self._deadline())
                if isinstance(answer, FrameHead):
                    rgb = self._read_rgb(self._child, answer, payload_bytes, rgb)
            if not isinstance(answer, FrameHead) or rgb is None:
                break
            self.warnings = self.warnings if answer.warnings is None else answer.warnings
            self._num_frames += 1
            yield RgbFrame(rgb, answer.pts_seconds)
        if not isinstance(answer, Ended):
            raise self._failure(answer)
        self._num_wanted = self._num_frames
        self.warnings = answer.warnings

    def _open(self, request: OpenRequest) -> Message:
        self._child = children().take()
        if self._child.num_clips > 0:
            try:
                return self._opened(self._child, request)
            except EOFError:  # perhaps the last video's fault, which may have left memory in ruins: try without
                self._discard()
                self._child = children().start()
        return self._opened(self._child, request)

    def _opened(self, child: Child, request: OpenRequest) -> Message:
        child.num_clips += 1
        child.wire.send(request, deadline_seconds=self._deadline())
        return child.wire.receive(self._deadline())[0]

    def _read_rgb(
        self, child: Child, head: FrameHead, payload_bytes: int, last_rgb: UInt8Array | None
    ) -> UInt8Array | None:
        if self._num_frames == self._num_wanted:
            raise ValueError("more frames than requested")
        if head.is_repeated:
            return last_rgb
        self._check_size(head.height, head.width)
        if payload_bytes != head.height * head.width * 3:
            raise ValueError(f"{payload_bytes} bytes for {head.width}×{head.height} pixels")
        return child.wire.read_array((head.height, head.width, 3), np.uint8, self._deadline())

    def _close(self, child: Child) -> None:
        deadline_seconds = time.monotonic() + _MAX_CLOSE_SECONDS
        answer: Message = CloseRequest()
        with self._blamed(but=TimeoutError):
            child.wire.send(CloseRequest(), deadline_seconds=deadline_seconds)
            while not isinstance(answer, Closed | Failed | OutOfMemory | Bug):
                answer, payload_bytes = child.wire.receive(deadline_seconds)
                child.wire.skip(payload_bytes, deadline_seconds)
        if isinstance(answer, Closed) and not answer.is_bloated:
            self._child = None
            children().give_back(child)
        else:
            self._discard()

    def _deadline(self) -> float:
        return time.monotonic() + self._limits.max_stall_seconds

    def _check(self, info: VideoInfo) -> None:
        """The child has done so, unless it was taken over."""
        self._check_size(info.height, info.width)
        if not 0 <= info.duration_seconds <= self._limits.max_duration_seconds:
            raise ValueError(f"{info.duration_seconds} s")

    def _check_size(self, height: int, width: int) -> None:
        if height < 1 or width < 1 or height * width > self._limits.max_pixels_per_frame:
            raise ValueError(f"{width}×{height} pixels")

    def _discard(self, grace_seconds: float = 0.0) -> int | None:
        child, self._child = self._child, None
        return children().discard(child, grace_seconds) if child else None

    def _failure(self, answer: Message) -> Exception:
        """The exception that an answer stands for; the child is free."""
        child, self._child = self._child, None
        assert child is not None
        if isinstance(answer, Failed) and (failure := _failure(answer)) is not None:
            children().give_back(child)
            return failure
        children().discard(child)
        if isinstance(answer, OutOfMemory):
            return SourceRefusedError(
                f"decoding it needs more than the {self._limits.max_memory_bytes:,} bytes of memory allowed",
                source=self.path,
                hint="scale it down with: ffmpeg -i IN -vf scale=1280:-2 out.mp4",
            )
        if isinstance(answer, Bug):
            return RuntimeError(f"{self.path}: a bug in the decoding child: {answer.traceback}")
        return self._nonsense(f"an unexpected {type(answer).__name__}")

    @contextlib.contextmanager
    def _blamed(self, but: type[BaseException] | tuple[()] = ()) -> Iterator[None]:
        """What goes wrong between the processes, said of this video; the child is ended (but for one exception)."""
        try:
            yield
        except but:
            raise
        except EOFError:
            raise self._death(self._discard(_DEATH_SECONDS)) from None
        except TimeoutError:
            self._discard()
            raise DecodeFailedError(
                f"decoding was stuck for {self._limits.max_stall_seconds:g} s {self._when()} and was ended",
                source=self.path,
                hint="download or copy the file again, or convert it with: ffmpeg -i IN out.mp4",
            ) from None
        except ChildNotReadyError as error:
            raise DecodeFailedError(
                f"its decoding process did not start ({error})",
                source=self.path,
                hint="free memory, or decode without isolation",
            ) from None
        except ValueError as error:
            self._discard()
            raise self._nonsense(str(error)) from None
        except BaseException:  # Ctrl-C, say, in the midst of a message
            self._discard()
            raise

    def _death(self, status: int | None) -> DecodeFailedError:
        if status == -signal.SIGKILL:
            return DecodeFailedError(
                f"decoding was killed (SIGKILL) {self._when()}, probably because the machine ran out of memory",
                source=self.path,
                hint="free memory, or read fewer videos at once",
            )
        if status is not None and status < 0:
            return DecodeFailedError(
                f"the codec crashed ({signal_name(-status)}) {self._when()}",
                source=self.path,
                hint="the file is damaged or hostile: download or copy it again, or convert it with: "
                "ffmpeg -i IN out.mp4",
            )
        return DecodeFailedError(
            f"the codec ended its process (exit status {status}) {self._when()}",
            source=self.path,
            hint="download or copy the file again, or convert it with: ffmpeg -i IN out.mp4",
        )

    def _nonsense(self, what: str) -> DecodeFailedError:
        return DecodeFailedError(
            f"decoding returned an invalid answer ({what}) {self._when()} and was ended",
            source=self.path,
            hint="the file is damaged or hostile: download or copy it again",
        )

    def _when(self) -> str:
        return f"after {self._num_frames} frames" if self._num_wanted is not None else "while opening it"


def _failure(answer: Failed) -> VideoclfError | None:
    """None where no exception of ours has that name."""
    try:
        return error_class(answer.error_type)(answer.reason, source=answer.source, hint=answer.hint)
    except KeyError:
        return None


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed: absolute paths work all the same
        return Path("/")
