"""Values that must not be freed, as what frees them waits for threads that are busy, or not there any more."""

from __future__ import annotations

import ctypes


def keep_for_ever(value: object) -> None:
    """Never free it, nor what it holds; not when the interpreter ends, either."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
