"""What the pages have in common: one file that needs nothing else and asks for nothing else, in light and in dark."""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from videoclf.html_page import page_environment


def render(template: str, **values: object) -> bytes:
    """A page from a template beside this module, which extends ``page.html.j2``."""
    return page_environment("videoclf.results").get_template(template).render(values).encode("utf-8")


def svg(figure: Figure) -> str:
    """The figure as markup to stand in a page, inside ``<figure class="curves">``."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):  # text stays text, which the browser draws: smaller
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
