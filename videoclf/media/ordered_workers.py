"""Runs jobs in threads and yields their results in the order of the jobs, with a bound on what is held.

Each job has a short queue, which its thread fills and the consumer empties. The queues are emptied one after the
other, so what is held is bounded by their number and their length, not by the number of jobs or of results.
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
"""How long a closing pool waits for a thread; one that is held up in the caller's own iterable (a pipe, say) or in a
codec is left to end by itself."""

Job = TypeVar("Job")
Result = TypeVar("Result")
Item = TypeVar("Item")

Work: TypeAlias = Callable[[Job], Iterable[Result]]


@dataclass(frozen=True)
class WorkLimits:
    """How many jobs may be in work, and how many results may wait."""

    num_threads: int
    max_jobs: int
    """Jobs that are in work or wait for the consumer."""
    max_results_per_job: int


class _QueueEnd:
    """Nothing more comes in this queue."""


_QUEUE_END = _QueueEnd()
_JobQueue: TypeAlias = "queue.Queue[Result | BaseException | _QueueEnd]"


class Stopped(BaseException):
    """The consumer is gone. Not an `Exception`, so that nothing mistakes it for a failure."""


def results_in_order(
    jobs: Iterable[Job],
    open_worker: Callable[[threading.Event], AbstractContextManager[Work[Job, Result]]],
    limits: WorkLimits,
    *,
    max_wait_seconds: float | None = None,
) -> Iterator[Result | None]:
    """Yield all results of the first job, then those of the second, and so on.

    Args:
        jobs: taken one by one, shortly before they are needed; may be endless.
        open_worker: entered once in each thread; returns the function that turns a job into results. Its argument is
            set when the consumer is gone: long work should check it and raise `Stopped`.
        limits: threads, jobs and results held.
        max_wait_seconds: how long to wait before None is yielded instead of a result, so that the consumer can do
            something else; None: wait for the result.

    Raises:
        Whatever a job, a worker or the jobs' iterable raises, at its position among the results.
        UsageInvalidError: results are requested in a process that was forked after the start.
    """
    if limits.num_threads < 1:
        raise ValueError(f"num_threads must be at least 1, got {limits.num_threads}")
    pool = _WorkerPool(jobs, open_worker, limits)
    try:
        yield from pool.results(max_wait_seconds)
    finally:
        pool.stop()


class _WorkerPool(Generic[Job, Result]):
    def __init__(
        self,
        jobs: Iterable[Job],
        open_worker: Callable[[threading.Event], AbstractContextManager[Work[Job, Result]]],
        limits: WorkLimits,
    ) -> None:
        self._process_id = os.getpid()
        self._jobs = iter(jobs)
        self._open_worker = open_worker
        self._max_results_per_job = limits.max_results_per_job
        self._stopped = threading.Event()
        self._take_lock = threading.Lock()
        self._queues: queue.Queue[_JobQueue[Result] | BaseException | None] = queue.Queue()
        """One queue for each job, in the jobs' order; None: a thread ended."""
        self._free_slots = threading.Semaphore(limits.max_jobs)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(limits.num_threads)]
        for thread in self._threads:
            thread.start()

    def results(self, max_wait_seconds: float | None) -> Iterator[Result | None]:
        num_ended = 0
        while num_ended < len(self._threads):
            try:
                results = self._waited_for(self._queues, max_wait_seconds)
            except queue.Empty:
                yield None
                continue
            if results is None:
                num_ended += 1
                continue
            if isinstance(results, BaseException):
                raise results
            yield from self._drain(results, max_wait_seconds)

    def _drain(self, results: _JobQueue[Result], max_wait_seconds: float | None) -> Iterator[Result | None]:
        while True:
            try:
                item = self._waited_for(results, max_wait_seconds)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, _QueueEnd):
                self._free_slots.release()
                return
            yield item

    def _waited_for(self, results: queue.Queue[Item], max_wait_seconds: float | None) -> Item:
        if self._process_id != os.getpid():
            raise UsageInvalidError(
                "reading of these clips was started before os.fork(), by threads that exist only in the parent",
                hint="start reading again in the child process",
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
                while self._wait_for_slot() and (taken := self._take()) is not None:
                    results, job = taken
                    try:
                        for result in work(job):
                            self._put(results, result)
                        self._put(results, _QUEUE_END)
                    except Stopped:
                        raise
                    except BaseException as error:
                        self._put(results, error)
        except Stopped:
            pass
        except BaseException as error:
            self._queues.put(error)
        finally:
            self._queues.put(None)

    def _take(self) -> tuple[_JobQueue[Result], Job] | None:
        with self._take_lock:  # taking a job and adding its queue happen together, so that order is kept
            for job in self._jobs:
                results: _JobQueue[Result] = queue.Queue(maxsize=self._max_results_per_job)
                self._queues.put(results)
                return results, job
            return None

    def _wait_for_slot(self) -> bool:
        while not self._free_slots.acquire(timeout=_STOP_CHECK_SECONDS):
            if self._stopped.is_set():
                return False
        return not self._stopped.is_set()

    def _put(self, results: _JobQueue[Result], item: Result | BaseException | _QueueEnd) -> None:
        while not self._stopped.is_set():
            try:
                return results.put(item, timeout=_STOP_CHECK_SECONDS)
            except queue.Full:
                continue
        raise Stopped
