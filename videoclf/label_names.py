"""Names that people can tell apart: of classes, of groups."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from videoclf.errors import DatasetInvalidError

_INVISIBLE = {
    *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0",  # joiner, fillers, empty Braille cell
    *map(chr, range(0xFE00, 0xFE10)),  # variation selectors
    *map(chr, range(0xE0100, 0xE01F0)),
}
"""What shows nothing but is no format character (category Cf, as zero-width spaces, soft hyphens and tags are) and no
whitespace: Unicode's Default_Ignorable_Code_Point, and what its fonts leave blank."""

_MAX_CODE_POINTS = 12
"""That a message names."""


def visible_form(name: str) -> str:
    """What people see of a name: composed (NFC), without invisible characters, whitespace folded.

    >>> visible_form("wa\\u200blk"), visible_form(" e\\u0301\\u00a0 x ")
    ('walk', 'é x')
    """
    seen = (c for c in name if c not in _INVISIBLE and unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFC", "".join(seen)).split())


def refuse_look_alikes(names: Iterable[str], what: str, source: str) -> None:
    """Each name can be seen, and no two look the same: "walk" and "wa\\u200blk" would be two classes of one.

    Args:
        names: each once or more.
        what: what they are names of: ``class``, ``group``.
        source: the folder or list, for the message.

    Raises:
        DatasetInvalidError: names the first that cannot be seen, or the first two that look the same.
    """
    by_form: dict[str, str] = {}
    for name in sorted(set(names)):
        form = visible_form(name)
        if not form:
            raise DatasetInvalidError(
                f"the name of a {what} holds nothing that can be seen ({_code_points(name)})",
                source=source,
                hint="rename it",
            )
        other = by_form.setdefault(form, name)
        if other != name:
            raise DatasetInvalidError(
                f"the {what} names {other!a} and {name!a} look the same ({_code_points(other)} and "
                f"{_code_points(name)}), but are two",
                source=source,
                hint="give both the same name, or names that differ visibly",
            )


def _code_points(name: str) -> str:
    points = [f"U+{ord(c):04X}" for c in name]
    more = " ..." if len(points) > _MAX_CODE_POINTS else ""
    return " ".join(points[:_MAX_CODE_POINTS]) + more
