"""Jobs done in threads, their results in the jobs' order, with a bound on what waits.

Each job has a lane: a short queue that its thread fills and the consumer empties. Lanes are drained one after the
other, so what is held is bounded by the number of lanes and their length, not by the number of jobs or of results.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from videoclf.errors import UsageInvalidError

_STOP_CHECK_SECONDS = 0.1

_STOP_WAIT_SECONDS = 2.0
"""How long a closing team waits for a thread; one that is held up in the caller's own iterable (a pipe, say) or in a
codec is left to end by itself."""

Job = TypeVar("Job")
Result = TypeVar("Result")
Item = TypeVar("Item")

Work: TypeAlias = Callable[[Job], Iterable[Result]]


@dataclass(frozen=True)
class LaneLimits:
    """How much may be in work, and wait."""

    num_threads: int
    max_jobs: int
    """Jobs in work or waiting for the consumer."""
    max_results_per_lane: int


class _LaneEnd:
    """Nothing more comes in this lane."""


_LANE_END = _LaneEnd()
_Lane: TypeAlias = "queue.Queue[Result | BaseException | _LaneEnd]"


class Stopped(BaseException):
    """The consumer has gone; no `Exception`, so that nothing takes it for a failure."""


def work_in_lanes(
    jobs: Iterable[Job],
    open_worker: Callable[[threading.Event], AbstractContextManager[Work[Job, Result]]],
    limits: LaneLimits,
    *,
    max_wait_seconds: float | None = None,
) -> Iterator[Result | None]:
    """Results of the first job, those of the second, ...

    Args:
        jobs: taken one by one, shortly before they are needed; may be endless.
        open_worker: entered once in each thread; gives what turns a job into results. Its argument is set when the
            consumer has gone: long work should look at it and raise `Stopped`.
        limits: threads, jobs and results held.
        max_wait_seconds: None, or how long to wait before giving None instead of a result, for a consumer who has
            something else to do.

    Raises:
        What a job, a worker or the jobs' iterable raises, in its place among the results.
        UsageInvalidError: asked for results in a process that was forked since.
    """
    if limits.num_threads < 1:
        raise ValueError(f"num_threads must be at least 1, got {limits.num_threads}")
    team = _Team(jobs, open_worker, limits)
    try:
        yield from team.results(max_wait_seconds)
    finally:
        team.stop()


class _Team(Generic[Job, Result]):
    def __init__(
        self,
        jobs: Iterable[Job],
        open_worker: Callable[[threading.Event], AbstractContextManager[Work[Job, Result]]],
        limits: LaneLimits,
    ) -> None:
        self._process_id = os.getpid()
        self._jobs = iter(jobs)
        self._open_worker = open_worker
        self._max_results_per_lane = limits.max_results_per_lane
        self._stopped = threading.Event()
        self._take_lock = threading.Lock()
        self._lanes: queue.Queue[_Lane[Result] | BaseException | None] = queue.Queue()
        """One lane a job, in the jobs' order; None: a thread ended."""
        self._room = threading.Semaphore(limits.max_jobs)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(limits.num_threads)]
        for thread in self._threads:
            thread.start()

    def results(self, max_wait_seconds: float | None) -> Iterator[Result | None]:
        num_ended = 0
        while num_ended < len(self._threads):
            try:
                lane = self._waited_for(self._lanes, max_wait_seconds)
            except queue.Empty:
                yield None
                continue
            if lane is None:
                num_ended += 1
                continue
            if isinstance(lane, BaseException):
                raise lane
            yield from self._drain(lane, max_wait_seconds)

    def _drain(self, lane: _Lane[Result], max_wait_seconds: float | None) -> Iterator[Result | None]:
        while True:
            try:
                item = self._waited_for(lane, max_wait_seconds)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, _LaneEnd):
                self._room.release()
                return
            yield item

    def _waited_for(self, results: queue.Queue[Item], max_wait_seconds: float | None) -> Item:
        if self._process_id != os.getpid():
            raise UsageInvalidError(
                "these clips were begun before os.fork(), by threads that stayed with the parent",
                hint="ask for them anew in the child",
            )
        return results.get(timeout=max_wait_seconds)

    def stop(self) -> None:
        if self._process_id != os.getpid():
            return
        self._stopped.set()
        for thread in self._threads:
            thread.join(_STOP_WAIT_SECONDS)

    def _run(self) -> None:
        try:
            with self._open_worker(self._stopped) as work:
                while self._wait_for_room() and (taken := self._take()) is not None:
                    lane, job = taken
                    try:
                        for result in work(job):
                            self._put(lane, result)
                        self._put(lane, _LANE_END)
                    except Stopped:
                        raise
                    except BaseException as error:
                        self._put(lane, error)
        except Stopped:
            pass
        except BaseException as error:
            self._lanes.put(error)
        finally:
            self._lanes.put(None)

    def _take(self) -> tuple[_Lane[Result], Job] | None:
        with self._take_lock:  # taking a job and queueing its lane are one act, so that order is kept
            for job in self._jobs:
                lane: _Lane[Result] = queue.Queue(maxsize=self._max_results_per_lane)
                self._lanes.put(lane)
                return lane, job
            return None

    def _wait_for_room(self) -> bool:
        while not self._room.acquire(timeout=_STOP_CHECK_SECONDS):
            if self._stopped.is_set():
                return False
        return not self._stopped.is_set()

    def _put(self, lane: _Lane[Result], item: Result | BaseException | _LaneEnd) -> None:
        while not self._stopped.is_set():
            try:
                return lane.put(item, timeout=_STOP_CHECK_SECONDS)
            except queue.Full:
                continue
        raise Stopped
