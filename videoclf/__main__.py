"""The entry point of the command ``videoclf``: Ctrl-C works before anything is imported."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

from videoclf.cli.exit_codes import EXIT_INTERRUPTED


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Print one line and exit. Rows are flushed and files replaced as a whole, so no finished work is lost. Instead, an
    exception could be swallowed by a C extension that is being imported, or wait for a slow pipe."""
    show_cursor = "\x1b[?25h" if os.isatty(2) else ""
    os.write(2, f"{show_cursor}error: interrupted; finished work is kept\n".encode())
    os._exit(EXIT_INTERRUPTED)


def _leave_at_once(code: object) -> None:
    """Exit without freeing, for most of a second, what torch has built."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader has gone
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def run() -> None:
    """Run the command ``videoclf``."""
    signal.signal(signal.SIGINT, _leave)
    # NumPy's threads spin after they are done, and take cores from those of the network and the readers
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # torch's import creates a million permanent objects; collecting garbage every 700 of them takes half a second
    gc.set_threshold(100_000, 20, 100)
    from videoclf.cli.main import run_commands

    try:
        run_commands()
    except SystemExit as end:
        _leave_at_once(end.code)


if __name__ == "__main__":
    run()
