"""Translates recipes with keys of older versions to present names, and records which old names were found."""

from __future__ import annotations

from typing import Any

from videoclf.recipe.preprocess import todays_channels
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.section import Section
from videoclf.recipe.validation_errors import section_model


class Renamed:
    """Translates keys and values of older versions.

    Attributes:
        found: the present names of old ones that were found, by their old names.
    """

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def under_todays_names(self, tree: dict[str, Any]) -> dict[str, Any]:
        """The tree of a recipe, with keys under their present names.

        Raises:
            ValueError: a key is given under both names.
        """
        return {name: self._section(name, values) for name, values in tree.items()}

    def key(self, section: str, key: str) -> str:
        """The present name of a key."""
        model = section_model(Recipe, [section])
        now = model.FIRST_NAMES.get(key, key) if model is not None and issubclass(model, Section) else key
        if now != key:
            self.found[f"{section}.{key}"] = f"{section}.{now}"
        return now

    def value(self, section: str, key: str, value: object) -> object:
        """The present name of a value."""
        now = todays_channels(value) if (section, key) == ("preprocess", "channels") else value
        for old, new in zip(value, now, strict=True) if isinstance(value, list) and isinstance(now, list) else ():
            if old != new:
                self.found[f"preprocess.channels {old!r}"] = repr(new)
        return now

    def _section(self, name: str, values: object) -> object:
        model = section_model(Recipe, [name])
        if model is None or not issubclass(model, Section) or not isinstance(values, dict):
            return values
        model.with_todays_names(values)  # raises where a key is there twice
        keys = {key: self.key(name, key) for key in values}
        return {keys[key]: self.value(name, keys[key], value) for key, value in values.items()}
