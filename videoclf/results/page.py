"""What all result pages share: a single file that loads nothing else, for light and dark mode."""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.figure import Figure

from videoclf.html_page import page_environment


def render(template: str, **values: object) -> bytes:
    """Render a template of this package, which extends ``page.html.j2``."""
    return page_environment("videoclf.results").get_template(template).render(values).encode("utf-8")


def svg(figure: Figure) -> str:
    """The figure as SVG markup for a page, inside ``<figure class="curves">``."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):  # text stays text, which the browser draws: smaller
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
