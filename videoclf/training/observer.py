"""What a training run tells while it runs; the command line draws it, the library is silent."""

from __future__ import annotations

from typing import Protocol

from videoclf.results.report import EpochRecord


class Observer(Protocol):
    """Is told of a run's progress, in the order in which it happens."""

    def stage(self, name: str, total: int) -> None:
        """A stage begins, of so many clips."""

    def advance(self) -> None:
        """One clip of the stage is done."""

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """A training step is done. Of the epoch so far: the clips' mean loss in nats, the share of them that was right,
        and the share of the time in which the network waited for clips."""

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """An epoch is over."""

    def notice(self, text: str) -> None:
        """Something that the user should know, in one line: a clip that cannot be read, a warning."""


class SilentObserver:
    """Tells nobody."""

    def stage(self, name: str, total: int) -> None:
        """Ignored."""

    def advance(self) -> None:
        """Ignored."""

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """Ignored."""

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Ignored."""

    def notice(self, text: str) -> None:
        """Ignored."""
