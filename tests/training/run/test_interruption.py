from __future__ import annotations

import signal
import threading

import pytest

from videoclf.progress import SilentProgress
from videoclf.training.run.interruption import Interrupted, InterruptibleProgress, interruptible


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_answered_between_two_clips(number: int, exit_code: int) -> None:
    notes: list[str] = []
    with interruptible(notes.append) as check:
        progress = InterruptibleProgress(SilentProgress(), check)
        progress.advance()
        signal.raise_signal(number)
        assert notes == ["stopping after this clip; repeat to stop immediately"]
        with pytest.raises(Interrupted, match="the same command with resume=True continues") as caught:
            progress.advance()
    assert caught.value.exit_code == exit_code


def test_a_second_signal_does_what_it_did_before() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored: nohup, a shell's &
    try:
        with interruptible(lambda _: None):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[object] = []

    def work() -> None:
        with interruptible(lambda _: None) as check:
            check()
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
