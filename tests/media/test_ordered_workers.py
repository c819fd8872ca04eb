"""Work in threads, results in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.forked import in_a_forked_process
from videoclf.media.ordered_workers import Stopped, WorkLimits, results_in_order


@contextmanager
def repeater(stopped: threading.Event) -> Iterator[Callable[[int], Iterator[int]]]:
    """Gives each job ten times; later jobs are done sooner."""

    def work(job: int) -> Iterator[int]:
        time.sleep(0.002 * (5 - job % 5))
        yield from [job] * 10

    yield work


def test_results_come_in_the_order_of_jobs() -> None:
    results = list(results_in_order(range(20), repeater, WorkLimits(4, 8, 2)))
    assert results == [job for job in range(20) for _ in range(10)]


def test_an_error_comes_in_its_place() -> None:
    @contextmanager
    def worker(stopped: threading.Event) -> Iterator[Callable[[int], Iterator[int]]]:
        def work(job: int) -> Iterator[int]:
            yield job
            yield 6 // (3 - job)

        yield work

    results = results_in_order(range(9), worker, WorkLimits(2, 4, 2))
    assert [next(results) for _ in range(6)] == [0, 2, 1, 3, 2, 6]
    assert next(results) == 3
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_worker_that_cannot_be_opened_is_an_error() -> None:
    @contextmanager
    def worker(stopped: threading.Event) -> Iterator[Callable[[int], Iterator[int]]]:
        raise OSError("no")
        yield

    with pytest.raises(OSError, match="no"):
        list(results_in_order(range(3), worker, WorkLimits(2, 4, 2)))


def test_no_more_is_held_than_asked_for() -> None:
    started: list[int] = []

    @contextmanager
    def worker(stopped: threading.Event) -> Iterator[Callable[[int], Iterator[int]]]:
        def work(job: int) -> Iterator[int]:
            started.append(job)
            yield job

        yield work

    results = results_in_order(range(100), worker, WorkLimits(2, 3, 1))
    next(results)
    time.sleep(0.3)
    assert len(started) <= 4


def test_workers_end_when_the_consumer_leaves() -> None:
    ended = threading.Semaphore(0)

    @contextmanager
    def worker(stopped: threading.Event) -> Iterator[Callable[[int], Iterator[int]]]:
        def work(job: int) -> Iterator[int]:
            while not stopped.is_set():
                yield job
            raise Stopped

        try:
            yield work
        finally:
            ended.release()

    results = results_in_order(range(10), worker, WorkLimits(2, 4, 2))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert ended.acquire(timeout=2)
    assert ended.acquire(timeout=2)


def test_a_consumer_who_does_not_want_to_wait_gets_none() -> None:
    @contextmanager
    def worker(stopped: threading.Event) -> Iterator[Callable[[int], Iterator[int]]]:
        def work(job: int) -> Iterator[int]:
            time.sleep(0.2)
            yield job

        yield work

    results = list(results_in_order(range(1), worker, WorkLimits(1, 2, 1), max_wait_seconds=0.05))
    assert results[-1] == 0
    assert results[0] is None


def test_results_are_for_the_process_that_asked_for_them() -> None:
    results = results_in_order(range(9), repeater, WorkLimits(2, 4, 2))
    next(results)
    assert in_a_forked_process(lambda: next(results)).splitlines()[-1] == (
        "videoclf.errors.UsageInvalidError: reading of these clips was started before os.fork(), by threads that exist "
        "only in the parent; start reading again in the child process"
    )
    assert len(list(results)) == 89
