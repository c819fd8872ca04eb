"""Checks that names of classes and groups can be told apart by eye."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from videoclf.errors import DatasetInvalidError

_INVISIBLE = {
    *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0",  # joiner, fillers, empty Braille cell
    *map(chr, range(0xFE00, 0xFE10)),  # variation selectors
    *map(chr, range(0xE0100, 0xE01F0)),
}
"""Invisible characters that are neither format characters (category Cf, such as zero-width spaces, soft hyphens and
tags) nor whitespace: Unicode's Default_Ignorable_Code_Point, and characters that fonts leave blank."""

_MAX_CODE_POINTS = 12
"""Of a name, in a message."""


def visible_form(name: str) -> str:
    """The visible form of a name: composed (NFC), without invisible characters, whitespace collapsed.

    >>> visible_form("wa\\u200blk"), visible_form(" e\\u0301\\u00a0 x ")
    ('walk', 'é x')
    """
    seen = (c for c in name if c not in _INVISIBLE and unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFC", "".join(seen)).split())


def refuse_look_alikes(names: Iterable[str], what: str, source: str) -> None:
    """Refuse invisible names, and names that look the same: "walk" and "wa\\u200blk" would be two classes.

    Args:
        names: may contain duplicates.
        what: what the names are of: ``class`` or ``group``.
        source: the folder or list, for messages.

    Raises:
        DatasetInvalidError: with the first invisible name, or the first two that look the same.
    """
    by_form: dict[str, str] = {}
    for name in sorted(set(names)):
        form = visible_form(name)
        if not form:
            raise DatasetInvalidError(
                f"the name of a {what} has no visible characters ({_code_points(name)})",
                source=source,
                hint="rename it",
            )
        other = by_form.setdefault(form, name)
        if other != name:
            raise DatasetInvalidError(
                f"the {what} names {other!a} and {name!a} look the same ({_code_points(other)} and "
                f"{_code_points(name)}), but are different",
                source=source,
                hint="give both the same name, or names that differ visibly",
            )


def _code_points(name: str) -> str:
    points = [f"U+{ord(c):04X}" for c in name]
    more = " ..." if len(points) > _MAX_CODE_POINTS else ""
    return " ".join(points[:_MAX_CODE_POINTS]) + more
