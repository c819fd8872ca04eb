"""Handles Ctrl-C and SIGTERM during training: they take effect between two clips, not in the middle of a step."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from videoclf.epoch_record import EpochRecord
from videoclf.option_names import option
from videoclf.progress import Progress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A run was asked to stop, and has saved its progress. The text is one line for the user."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"interrupted; progress is saved: the same command with {option('resume')} continues")
        self.exit_code = 128 + signal_number


@contextmanager
def interruptible(
    notice: Callable[[str], None], also: Callable[[], object] = lambda: None
) -> Iterator[Callable[[], None]]:
    """A context that yields a function: after a signal, its next call raises `Interrupted`. A second signal has its
    usual effect. In other threads than the main one, signals are not handled.

    Args:
        notice: called when the run is going to stop.
        also: called on the signal.
    """
    received: list[int] = []

    def check() -> None:
        if received:
            raise Interrupted(received[0])

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _SIGNALS}

    def remember(number: int, _frame: FrameType | None) -> None:
        if received:
            signal.signal(number, before[number] or signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        received.append(number)
        also()
        notice("stopping after this clip; repeat to stop immediately")

    for number in before:
        signal.signal(number, remember)
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


class InterruptibleProgress:
    """Passes everything on, and checks for a signal after each clip.

    Args:
        progress: receives everything.
        check: raises the exception that ends the run.
    """

    def __init__(self, progress: Progress, check: Callable[[], None]) -> None:
        self._progress = progress
        self._check = check

    def stage(self, name: str, total: int) -> None:
        """Pass it on."""
        self._progress.stage(name, total)

    def advance(self) -> None:
        """Pass it on, and check for a signal."""
        self._progress.advance()
        self._check()

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """Pass it on."""
        self._progress.step(loss=loss, top1=top1, waiting_share=waiting_share)

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Pass it on."""
        self._progress.epoch(record, is_best=is_best)

    def notice(self, text: str) -> None:
        """Pass it on."""
        self._progress.notice(text)
