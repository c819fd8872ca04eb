"""Exceptions: one line each, of three parts that can be asked for; their first names stay."""

from __future__ import annotations

import pickle

import pytest

from videoclf import errors
from videoclf.errors import (
    DecodeFailed,
    DecodeFailedError,
    MediaError,
    RecipeInvalidError,
    VideoclfError,
    error_class,
    error_from_plain,
)

CLASSES = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, VideoclfError)]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (VideoclfError("no such file", source="a.mp4", hint="check the path"), "a.mp4: no such file; check the path"),
        (VideoclfError("no such file", source="a.mp4"), "a.mp4: no such file"),
        (VideoclfError("no such file", hint="check the path"), "no such file; check the path"),
        (VideoclfError("no such file"), "no such file"),
    ],
)
def test_the_text_is_source_reason_and_hint(error: VideoclfError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("found", CLASSES)
def test_every_name_ends_in_error(found: type[VideoclfError]) -> None:
    assert found.__name__.endswith("Error")


def test_the_first_names_stay() -> None:
    assert DecodeFailed is DecodeFailedError
    assert DecodeFailedError("x").type_name == "DecodeFailed"
    assert MediaError("x").type_name == "MediaError"
    assert error_class("DecodeFailed") is error_class("DecodeFailedError") is DecodeFailedError


def test_an_exception_crosses_processes_whole() -> None:
    error = RecipeInvalidError("unknown key", source="r.toml", hint="see docs/recipes.md")
    for copy in (pickle.loads(pickle.dumps(error)), error_from_plain(error.to_plain())):  # noqa: S301
        assert type(copy) is RecipeInvalidError
        assert (copy.source, copy.reason, copy.hint) == ("r.toml", "unknown key", "see docs/recipes.md")
        assert str(copy) == str(error)
