"""What all HTML pages share: text from outside is displayed literally, whatever it contains."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from videoclf.errors import printable


def page_environment(package: str) -> jinja2.Environment:
    """The environment that finds and renders the templates in a package.

    Values are escaped, put on one line, and stripped of control characters: a browser would drop some of these,
    interpret others, and show two different file names alike. Markup has to be marked with ``|safe``.
    """
    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: object) -> object:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
