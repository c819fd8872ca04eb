"""A console that prints text literally, never as markup: class names, file names and recipes are foreign text."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from videoclf.errors import printable


class PlainConsole(Console):
    """Prints every string literally, also in the cells and titles of tables.

    rich would interpret ``[/close]``, ``[link=...]`` and ``:smile:``, and a terminal control characters. Here neither
    happens, wherever the string is: a caller has nothing to escape, and so nothing to forget. Use ``style=`` for style.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Like rich's method, for strings that are passed to this console or found in a table."""
        return super().render_str(printable(text), **options | {"markup": False, "emoji": False})
