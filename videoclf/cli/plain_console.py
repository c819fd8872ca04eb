"""What this command line prints is text, never markup: class names, file names and recipes are foreign."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from videoclf.errors import printable


class PlainConsole(Console):
    """Prints every string as it stands, in cells and titles of tables too.

    rich would obey ``[/close]``, ``[link=...]`` and ``:smile:``; a terminal, control characters. Here neither does,
    wherever the string stands: a caller has nothing to escape, and so nothing to forget. Style comes from ``style=``.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich's, of strings that this console was handed, or finds in a table."""
        return super().render_str(printable(text), **options | {"markup": False, "emoji": False})
