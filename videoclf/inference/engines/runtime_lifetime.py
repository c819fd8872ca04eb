"""Manages values that own threads: which process they belong to after a fork, and which must never be freed.

`os.fork()` gives a child all of its parent's memory and none of its threads. Anything that waits there for one of these
threads, to compute or to be freed, waits forever. Servers that fork (gunicorn's ``--preload``) and DataLoader's workers
do that.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


def keep_for_ever(value: object) -> None:
    """Never free a value and what it refers to, not even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


class PerProcess(Generic[Value]):
    """A value that each process opens for itself: here immediately, and in a forked process when it is first needed.

    Args:
        open_value: opens the value, in any process.
    """

    def __init__(self, open_value: Callable[[], Value]) -> None:
        self._open = open_value
        self._opened = os.getpid(), open_value()
        _watched().add(self)

    def get(self) -> Value:
        """The value of this process. Threads that call it simultaneously for the first time may each open one; the last
        is kept."""
        process_id, value = self._opened
        if process_id != os.getpid():
            value = self._open()
            self._opened = os.getpid(), value
        return value

    def keep_for_ever(self) -> None:
        """Never free the open value and what it was opened from."""
        keep_for_ever((self._opened, self._open))


@functools.cache
def _watched() -> weakref.WeakSet[PerProcess[Any]]:
    """All there are. In a forked process none of the parent's is freed, whether or not it is used there."""
    watched: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()

    def keep() -> None:
        for each in watched:
            each.keep_for_ever()

    os.register_at_fork(after_in_child=keep)
    return watched
