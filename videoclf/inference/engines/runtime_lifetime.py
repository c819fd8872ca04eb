"""Values with threads of their own: whose they are after a fork, and which must never be freed.

`os.fork()` gives a child all of its parent's memory and none of its threads. Whoever waits there for one of them, to
compute or to be freed, waits for ever. Servers that fork (gunicorn's ``--preload``) and DataLoader's workers do that.
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
    """Never free it, nor what it holds; not when the interpreter ends, either."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


class PerProcess(Generic[Value]):
    """A value that each process opens for itself: at once here, and in a forked one when it is first asked for.

    Args:
        open_value: gives the value, in any process.
    """

    def __init__(self, open_value: Callable[[], Value]) -> None:
        self._open = open_value
        self._opened = os.getpid(), open_value()
        _watched().add(self)

    def get(self) -> Value:
        """This process's own. Threads that ask at once for the first time may each open one; the last is kept."""
        process_id, value = self._opened
        if process_id != os.getpid():
            value = self._open()
            self._opened = os.getpid(), value
        return value

    def keep_for_ever(self) -> None:
        """What is opened now, and what it was opened from."""
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
