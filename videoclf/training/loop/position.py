"""Where a training is, and where its time goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where in its training a network is: what comes next."""

    epoch: int = 1
    pool: int = 0
    """Of the epoch; see `make_pools`."""
    batch: int = 0
    """Of the pool."""
    step: int = 0
    """Of the epoch."""
    num_steps: int = 0
    """Done so far, over all epochs."""
    total_loss: float = 0.0
    """Of the epoch's clips so far, in nats."""
    num_right: int = 0
    """Of them."""
    num_clips: int = 0
    """Of the epoch, so far."""

    @property
    def mean_loss(self) -> float:
        """Of the epoch's clips so far; there must be one."""
        return self.total_loss / self.num_clips

    @property
    def top1(self) -> float:
        """The share of them that was right."""
        return self.num_right / self.num_clips


class Spent:
    """Where the time of an epoch's training goes, from now on."""

    def __init__(self) -> None:
        self.num_clips = 0
        """Trained on so far."""
        self._started = time.perf_counter()
        self._seconds_waited = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within it, the network waits for clips."""
        started = time.perf_counter()
        yield
        self._seconds_waited += time.perf_counter() - started

    @property
    def clips_per_second(self) -> float:
        """So far."""
        return self.num_clips / self._seconds

    @property
    def waiting_share(self) -> float:
        """Of the time so far."""
        return self._seconds_waited / self._seconds

    @property
    def _seconds(self) -> float:
        return max(1e-9, time.perf_counter() - self._started)


AfterStep = Callable[[Place, Spent], object]
"""Is told where training is, and where the epoch's time went so far."""
