"""The child's side of isolated decoding: `python -m videoclf.media.isolated_child READ_FD WRITE_FD LIFELINE_FD`."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import signal
import sys
import traceback
from pathlib import Path

import numpy as np

from videoclf.errors import VideoclfError
from videoclf.media.frames import UInt8Array
from videoclf.media.isolated_messages import (
    Bug,
    Closed,
    Ended,
    Failed,
    FrameHead,
    FramesRequest,
    Message,
    Opened,
    OpenRequest,
    OutOfMemory,
    Ready,
)
from videoclf.media.isolated_wire import NOTHING, Wire
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

_MAX_KEPT_BYTES = 256 << 20
"""A child that holds so much more than at its start when a clip is closed asks to be replaced: a codec leaks."""


def main() -> None:
    """Decode clips until the parent closes the pipe."""
    read_fd, write_fd, lifeline_fd = (int(number) for number in sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with_the_parent(lifeline_fd)
    _leave_no_core()
    wire = Wire(read_fd, write_fd)
    wire.send(Ready())
    _mute()
    with contextlib.suppress(EOFError):
        _Server(wire).serve()


class _Server:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._start_bytes = _data_bytes()

    def serve(self) -> None:
        while True:
            try:
                request, _ = self._wire.receive()
            except ValueError:  # options of another type than declared
                self._wire.send(Bug(traceback.format_exc()))
                continue
            if isinstance(request, OpenRequest):  # else it is a close that crossed with a failure
                self._wire.send(self._serve_clip(request))

    def _serve_clip(self, request: OpenRequest) -> Message:
        """All about one clip; the last answer comes back, to be sent when the video is closed."""
        try:
            self._decode(request)
        except EOFError:
            raise
        except MemoryError:
            return OutOfMemory()
        except VideoclfError as error:
            if os.strerror(errno.ENOMEM) in str(error).removeprefix(
                str(request.path)
            ):  # a codec's way to say it, which may be taken for damage
                return OutOfMemory()
            return Failed(error.type_name, error.reason, error.source, error.hint)
        except Exception:
            return Bug(traceback.format_exc())
        return Closed(is_bloated=_data_bytes() - self._start_bytes > _MAX_KEPT_BYTES)

    def _decode(self, request: OpenRequest) -> None:
        with contextlib.suppress(OSError):  # a folder that may not be entered matters to relative paths alone
            os.chdir(request.folder)
        _limit_data(self._start_bytes + request.options.limits.max_memory_bytes)
        with Video(request.path, request.options, num_threads=request.num_threads) as video:
            self._wire.send(Opened(video.info, video.warnings))
            next_request, payload_bytes = self._wire.receive()
            if isinstance(next_request, FramesRequest):
                moments = self._wire.read_array((payload_bytes // 8,), np.float64)
                self._send_frames(video, SamplingPlan(moments, next_request.fps))
                self._wire.receive()  # the close

    def _send_frames(self, video: Video, plan: SamplingPlan) -> None:
        last_rgb: UInt8Array | None = None
        last_warnings = video.warnings
        for frame in video.frames(plan):
            warnings = video.warnings
            is_repeated = frame.rgb is last_rgb
            height, width, _ = frame.rgb.shape
            head = FrameHead(
                pts_seconds=float(frame.pts_seconds),
                height=height,
                width=width,
                is_repeated=is_repeated,
                warnings=None if warnings == last_warnings else warnings,
            )
            pixels = NOTHING if is_repeated else np.ascontiguousarray(frame.rgb).data
            self._wire.send(head, pixels)
            last_rgb, last_warnings = frame.rgb, warnings
            if self._wire.has_input():
                return
        self._wire.send(Ended(video.warnings))


def _die_with_the_parent(lifeline_fd: int) -> None:
    """Have the kernel end this process when the parent's end of the lifeline closes, even in the midst of a codec call.

    Not prctl's PR_SET_PDEATHSIG: that fires when the *thread* ends that started the child, and readers' threads come
    and go. Elsewhere than on Linux, a child ends with its next read.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline_fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline_fd], [], [], 0)[0]:  # nothing is ever written: the parent has gone already
        sys.exit()


def _leave_no_core() -> None:
    """A crash in here is reported, and no reason to write memory to disk."""
    _, hard_bytes = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard_bytes))


def _mute() -> None:
    """Codecs write to standard error as they like; a bug's traceback goes over the wire."""
    null_fd = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_fd, 2)
    os.close(null_fd)


def _limit_data(max_bytes: int) -> None:
    if sys.platform != "linux":  # elsewhere the limit does not count mapped memory
        return
    _, hard_bytes = resource.getrlimit(resource.RLIMIT_DATA)
    if hard_bytes != resource.RLIM_INFINITY:
        max_bytes = min(max_bytes, hard_bytes)
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes, hard_bytes))


def _data_bytes() -> int:
    """What RLIMIT_DATA counts: the writable private memory of this process."""
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))


if __name__ == "__main__":
    main()
