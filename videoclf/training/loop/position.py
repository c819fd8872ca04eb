"""The position of a training, and how its time is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """The position of a network in its training: the next step."""

    epoch: int = 1
    pool: int = 0
    """Number of the pool in the epoch; see `make_pools`."""
    batch: int = 0
    """Number of the batch in the pool."""
    step: int = 0
    """Number of the step in the epoch."""
    num_steps: int = 0
    """Number of steps so far, over all epochs."""
    total_loss: float = 0.0
    """Sum over the epoch's clips so far, in nats."""
    num_right: int = 0
    """Number of correct clips among the epoch's clips so far."""
    num_clips: int = 0
    """Number of the epoch's clips so far."""

    @property
    def mean_loss(self) -> float:
        """Mean over the epoch's clips so far; there must be one."""
        return self.total_loss / self.num_clips

    @property
    def top1(self) -> float:
        """The share of correct clips among them."""
        return self.num_right / self.num_clips


class Spent:
    """Measures how the time of an epoch's training is spent, from now on."""

    def __init__(self) -> None:
        self.num_clips = 0
        """Number of clips trained on so far."""
        self._started = time.perf_counter()
        self._seconds_waited = 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """A context in which the network waits for clips."""
        started = time.perf_counter()
        yield
        self._seconds_waited += time.perf_counter() - started

    @property
    def clips_per_second(self) -> float:
        """Mean rate so far."""
        return self.num_clips / self._seconds

    @property
    def waiting_share(self) -> float:
        """The share of time that the network has waited for clips."""
        return self._seconds_waited / self._seconds

    @property
    def _seconds(self) -> float:
        return max(1e-9, time.perf_counter() - self._started)


AfterStep = Callable[[Position, Spent], object]
"""Receives the position of the training, and how the epoch's time was spent so far."""
