"""Starts the child processes that decode, keeps them for further clips, and ends them with the interpreter."""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from videoclf.errors import DeviceUnavailableError, one_line
from videoclf.media.isolated_wire import Wire

_MAX_START_SECONDS = 60.0
"""It takes 0.2 s; on a machine that is starting hundreds, longer."""

_MAX_END_SECONDS = 5.0
"""Until a killed process is gone; one that hangs in the kernel (a network disk) is left to it."""

_PIPE_BYTES = 1 << 20
"""How far a child may run ahead: 13 frames of 180×144, less than one of 1920×1080. Linux's default is 64 KB."""


_MAX_FAILED_STARTS = 3
"""Where none was ever ready: one may have been killed for want of memory, so many tell that none can start."""

_NO_SUCH_PROGRAM = frozenset({errno.ENOENT, errno.EACCES, errno.ENOEXEC})
"""Errors that the next attempt meets again."""


class ChildNotReadyError(Exception):
    """A new process ended, or was stuck, before it could accept a clip; the text says how. Internal to this package."""


class Child:
    """One decoding process, and the connection to it.

    A plain new interpreter: forking a process with threads is unsafe, and multiprocessing's spawn would run the user's
    main script again.

    Raises:
        ChildNotReadyError: the system cannot start a process at present.
        DeviceUnavailableError: the system can never start one.
    """

    def __init__(self) -> None:
        self.num_clips = 0
        """Number of clips that were requested from it."""
        fds: list[int] = []
        try:
            for _ in range(3):
                fds += os.pipe()
            passed_fds = (fds[2], fds[1], fds[4])  # to read from, to write to, its lifeline
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "videoclf.media.isolated_child", *map(str, passed_fds)],
                pass_fds=passed_fds,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=_environment(),
                start_new_session=True,  # the terminal's Ctrl-C and Ctrl-Z are for the parent
            )
        except OSError as error:
            _close(fds)
            if error.errno in _NO_SUCH_PROGRAM:
                raise _none_can_start(one_line(error)) from error
            raise ChildNotReadyError(one_line(error.strerror)) from error
        _close(passed_fds)
        self._fds = read_fd, write_fd, _ = fds[0], fds[3], fds[5]
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # over the user's quota of pipe memory: it works with less
                fcntl.fcntl(read_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)
        self.wire = Wire(read_fd, write_fd)

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until the process has imported what it needs.

        Raises:
            ChildNotReadyError: they failed, or the process was killed meanwhile.
        """
        try:
            self.wire.receive(time.monotonic() + _MAX_START_SECONDS)
        except EOFError:
            raise ChildNotReadyError(self._last_words(self.kill(_MAX_END_SECONDS))) from None
        except TimeoutError:
            self.kill()
            raise ChildNotReadyError(f"it was stuck for {_MAX_START_SECONDS:g} s") from None
        except ValueError as error:
            self.kill()
            raise ChildNotReadyError(f"it sent an invalid message: {one_line(error)}") from None

    def kill(self, grace_seconds: float = 0.0) -> int | None:
        """End the process unless it ends by itself within ``grace_seconds``. Returns the exit status as `subprocess`
        does."""
        if grace_seconds:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_seconds)
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_MAX_END_SECONDS)
        return self._process.returncode

    def close(self) -> None:
        """Close this side's ends of the pipes: once, and only in the thread that communicates with the child."""
        assert self._process.stderr is not None
        self._process.stderr.close()
        _close(self._fds)

    def _last_words(self, status: int | None) -> str:
        """How a child that never got ready ended: its signal, or the last line that it wrote to standard error."""
        assert self._process.stderr is not None
        if status is not None and status < 0:
            return f"it was killed by {signal_name(-status)}"
        lines = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return one_line(lines[-1]) if lines else f"it ended with exit status {status}"


class ChildPool:
    """Idle child processes that any thread may take. The one used last is taken first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._is_closed = False
        self._was_one_ready = False
        self._num_failed_starts = 0
        self._process_id = os.getpid()
        atexit.register(self.close)

    def take(self) -> Child:
        """Take a running child for exclusive use, until it is given back or discarded.

        Raises:
            ChildNotReadyError: the child that was started has ended.
            DeviceUnavailableError: no child can be started.
        """
        while child := self._pop_idle():
            if child.is_alive:
                return child
            self.discard(child)
        return self.start()

    def start(self) -> Child:
        """As `take`, but the child has not decoded any clip yet."""
        with self._lock:  # under it, so that `close` misses no child
            if self._is_closed:
                raise RuntimeError("the interpreter is shutting down")
            try:
                child = Child()
            except ChildNotReadyError as error:
                raise self._failed_start(error) from error
            self._busy.add(child)
        try:
            child.wait_until_ready()
        except ChildNotReadyError as error:
            self.discard(child)
            raise self._failed_start(error) from error
        except BaseException:
            self.discard(child)
            raise
        self._was_one_ready = True
        return child

    def _failed_start(self, error: ChildNotReadyError) -> ChildNotReadyError | DeviceUnavailableError:
        """What to raise: after several, that it is no use."""
        self._num_failed_starts += 1
        if self._was_one_ready or self._num_failed_starts < _MAX_FAILED_STARTS:
            return error
        return _none_can_start(f"{self._num_failed_starts} processes in a row did not start; the last one: {error}")

    def give_back(self, child: Child) -> None:
        """Give back a child that is between two clips. No more idle children than cores are kept."""
        with self._lock:
            is_kept = len(self._idle) < (os.cpu_count() or 1) and not self._is_closed
            if is_kept:
                self._busy.discard(child)
                self._idle.append(child)
        if not is_kept:
            self.discard(child)

    def discard(self, child: Child, grace_seconds: float = 0.0) -> int | None:
        """End a child; see `Child.kill`."""
        status = child.kill(grace_seconds)
        child.close()
        with self._lock:
            self._busy.discard(child)
        return status

    def close(self) -> None:
        """End all children, idle or not. A process that was forked from this one does not end them."""
        if os.getpid() != self._process_id:
            return
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for child in idle:
            child.kill()
            child.close()
        for child in busy:
            child.kill()  # whoever talks with it notices

    def _pop_idle(self) -> Child | None:
        with self._lock:
            if not self._idle:
                return None
            child = self._idle.pop()
            self._busy.add(child)
            return child


def children() -> ChildPool:
    """The pool of this process."""
    return _pool_of_process(os.getpid())


@functools.cache
def _pool_of_process(process_id: int) -> ChildPool:
    """By process: a forked one must not talk to its parent's children."""
    del process_id
    return ChildPool()


def _environment() -> dict[str, str]:
    """The child finds what the parent finds; and starts no threads for linear algebra that it will not do."""
    folders = [str(Path(folder).absolute()) for folder in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OPENBLAS_NUM_THREADS": "1"}


def signal_name(number: int) -> str:
    """The name of a signal, such as ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _none_can_start(reason: str) -> DeviceUnavailableError:
    return DeviceUnavailableError(
        f"no process for isolated decoding can be started ({reason})",
        hint="free processes, files or memory, or decode without isolation",
    )


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
