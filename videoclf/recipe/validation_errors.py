"""Describes pydantic's validation errors in one line: the key, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from videoclf.errors import one_line


def describe_validation(error: ValidationError, model: type[BaseModel]) -> str:
    """The first of pydantic's errors in one line: key, value, what is allowed, and how many more there are."""
    first, *more = error.errors(include_url=False)
    key = ".".join(str(part) for part in first["loc"])
    key = key if key.isprintable() and len(key) <= 80 else shortened(key)
    if first["type"] == "extra_forbidden":
        text = f"unknown key {key!r}; {known_keys(model, first['loc'][:-1])}"
    elif not first["loc"]:
        text = one_line(first["msg"]).removeprefix("Value error, ")
    elif first["type"] == "missing":
        text = f"{key} is missing"
    else:
        reason = one_line(first["msg"]).removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict) else f" = {shortened(first['input'])}"  # no whole sections
        text = f"{key}{value}: {reason[:1].lower()}{reason[1:]}"
    return text + (f" (and {len(more)} more)" if more else "")


def known_keys(model: type[BaseModel], section: Sequence[int | str]) -> str:
    """The allowed keys of a section, for a message about an unknown key."""
    owner = section_model(model, section)
    return f"known keys: {', '.join(owner.model_fields)}" if owner else "see docs/recipes.md"


def section_model(model: type[BaseModel], section: Sequence[int | str]) -> type[BaseModel] | None:
    """The model of a section; None if there is no such section."""
    owner: Any = model
    for part in section:
        field = owner.model_fields.get(str(part))
        owner = field.annotation if field is not None else None
        if not (isinstance(owner, type) and issubclass(owner, BaseModel)):
            return None
    return cast(type[BaseModel], owner)


def shortened(value: object) -> str:
    """The value as it is written in code, on one line of at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
