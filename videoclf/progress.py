"""What a long call reports while it runs: one protocol for loading, checks, training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from videoclf.epoch_record import EpochRecord


class Progress(Protocol):
    """Receives the progress of a call, in the order in which it happens; a call uses the methods that apply to it."""

    def stage(self, name: str, total: int) -> None:
        """A stage begins, of so many steps: clips, as a rule; 0 if the number is unknown."""

    def advance(self) -> None:
        """One step of the stage is done."""

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """A training step is done. Of the epoch so far: the clips' mean loss in nats, the share of them that was right,
        and the share of the time in which the network waited for clips."""

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """A training epoch is over."""

    def notice(self, text: str) -> None:
        """Something that the user should know, in one line: a clip that cannot be read, a warning."""


class SilentProgress:
    """Reports nothing. A subclass overrides what it wants to hear."""

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


ProgressLike: TypeAlias = Progress | Callable[[str], object] | None
"""What public functions take: an object with these methods, or a function that gets the notices, or None."""


def as_progress(progress: ProgressLike) -> Progress:
    """The protocol's object for what a caller gave."""
    if progress is None:
        return SilentProgress()
    if callable(progress):
        return _NoticesOnly(progress)
    return progress


class _NoticesOnly(SilentProgress):
    def __init__(self, notice: Callable[[str], object]) -> None:
        self._notice = notice

    def notice(self, text: str) -> None:
        self._notice(text)
