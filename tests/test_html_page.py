from __future__ import annotations

import jinja2
import pytest

from videoclf.errors import printable
from videoclf.html_page import page_environment


def rendered(template: str, **values: object) -> str:
    environment = page_environment("videoclf.results")
    environment.loader = jinja2.DictLoader({"page": template})
    return environment.get_template("page").render(values)


def test_what_a_page_is_given_is_text() -> None:
    assert rendered("{{ name }}", name="</script>{{ 1 + 1 }}\"'") == "&lt;/script&gt;{{ 1 + 1 }}&#34;&#39;"


def test_what_a_browser_would_drop_or_obey_is_shown() -> None:
    assert rendered("{{ name }}", name="a\x1b\x00\n\u202e\udcff") == r"a\x1b\x00\n\u202e\udcff"


def test_markup_and_numbers_stay_what_they_are() -> None:
    assert rendered("{{ svg|safe }}{{ num }}", svg="<svg>\n</svg>", num=3) == "<svg>\n</svg>3"


def test_what_is_not_given_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        rendered("{{ name }}")


def test_all_that_can_be_printed_is_printed_as_it_is() -> None:
    text = "Ünïcödé 漢字 🙂 שלום e\u0301 a\u200db"
    assert printable(text) == text
