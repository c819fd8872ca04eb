"""The entry point of the command ``videoclf``: Ctrl-C works before anything is imported."""

from __future__ import annotations

import os
import signal
from types import FrameType

EXIT_INTERRUPTED = 130


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """One line, and out. Rows are flushed and files replaced whole as they come, so nothing done before is lost; an
    exception instead could be swallowed by a C extension that is being imported, or wait for a slow pipe."""
    show_cursor = "\x1b[?25h" if os.isatty(2) else ""
    os.write(2, f"{show_cursor}error: interrupted; what was done before stays\n".encode())
    os._exit(EXIT_INTERRUPTED)


def run() -> None:
    """What the command ``videoclf`` calls."""
    signal.signal(signal.SIGINT, _leave)
    from videoclf.cli.main import run_commands

    run_commands()


if __name__ == "__main__":
    run()
