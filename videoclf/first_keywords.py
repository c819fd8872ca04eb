"""Keyword arguments of older versions, which are accepted for good."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def accepts_first_keywords(**names_now: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Of a function whose keyword arguments had other names in older versions: those are accepted too.

    Args:
        names_now: by the first name.

    Raises:
        TypeError: from the function, where an argument is given under both names.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def renaming(*arguments: P.args, **keywords: P.kwargs) -> T:
            for first, now in names_now.items():
                if first in keywords:
                    if now in keywords:
                        raise TypeError(f"{function.__name__}() got both {now} and its first name, {first}")
                    keywords[now] = keywords.pop(first)
            return function(*arguments, **keywords)

        return renaming

    return decorate
