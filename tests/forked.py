"""What a forked process does, told to its parent."""

from __future__ import annotations

import os
import select
import signal
import traceback
import warnings
from collections.abc import Callable

import pytest


def in_a_forked_process(action: Callable[[], object], *, max_seconds: float = 20.0) -> str:
    """What the action gives there, as text, or the traceback of its failure; a test failure if it takes longer."""
    read_fd, write_fd = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads: that is what is tested
        process_id = os.fork()
    if process_id == 0:
        try:
            text = str(action())
        except BaseException:
            text = traceback.format_exc()
        os.write(write_fd, text.encode())
        os._exit(0)
    os.close(write_fd)
    try:
        is_there, _, _ = select.select([read_fd], [], [], max_seconds)
        if not is_there:
            pytest.fail(f"hangs in a forked process: nothing came in {max_seconds} s")
        return os.read(read_fd, 1 << 16).decode()
    finally:
        os.kill(process_id, signal.SIGKILL)
        os.waitpid(process_id, 0)
        os.close(read_fd)
