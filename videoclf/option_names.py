"""How an option is written where the user is: ``--group-regex X`` on the command line, ``group_regex='X'`` in
Python."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

_COMMAND_LINE = "VIDEOCLF_OPTIONS_AS_FLAGS"
"""In the environment while the command line is at work: child processes speak like their parent."""

_IN_PYTHON = {
    "set": "overrides", "devices": "num_devices", "folds": "num_folds", "seeds": "num_seeds", "cache": "feature_cache",
}  # fmt: skip
"""Parameters whose names differ from their flags'."""

_SWITCHES = frozenset({"overwrite", "resume", "allow_leaks", "tensorboard"})
_LISTS = frozenset({"set", "unknown"})
_OF_READING = frozenset({"decoder"})
"""In Python, a part of `videoclf.media.options.ReadOptions`."""


def option(name: str, *values: object) -> str:
    """An option as the user would write it, with its value if one is given, or with several.

    Args:
        name: of the flag, with ``_`` for ``-``.
        values: what follows it; of a switch, nothing.

    >>> option("group_regex", "g(.)"), option("overwrite")
    ("group_regex='g(.)'", 'overwrite=True')
    >>> with as_flags():
    ...     option("group_regex", "g(.)"), option("overwrite")
    ("--group-regex 'g(.)'", '--overwrite')
    """
    if os.environ.get(_COMMAND_LINE) == "1":
        flag = f"--{name.replace('_', '-')}"
        return " ".join(f"{flag} {shlex.quote(str(value))}" for value in values) if values else flag
    keyword = _IN_PYTHON.get(name, name)
    if name in _SWITCHES:
        return f"{keyword}=True"
    if name in _OF_READING:
        return f"ReadOptions({keyword}={str(values[0])!r})" if values else "reading=ReadOptions(...)"
    if not values:
        return keyword
    plain = [value if isinstance(value, int | float) else str(value) for value in values]
    return f"{keyword}={plain if name in _LISTS else plain[0]!r}"


@contextmanager
def as_flags() -> Iterator[None]:
    """Options are written as flags inside, and in processes that are started there."""
    before = os.environ.get(_COMMAND_LINE)
    os.environ[_COMMAND_LINE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_COMMAND_LINE]
        else:
            os.environ[_COMMAND_LINE] = before
