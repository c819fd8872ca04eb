"""What every page shares: foreign text in it is text, whatever it holds."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from videoclf.errors import printable


def page_environment(package: str) -> jinja2.Environment:
    """Where the templates beside a package's modules are found and filled in.

    What a template is given is escaped, on one line and without control characters: a browser would drop some of those,
    obey others, and show two file names that differ as one. What is markup says so with ``|safe``.
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
