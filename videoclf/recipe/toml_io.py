"""Reads recipes from TOML, changes them by ``--set``, checks them, and writes them back."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from videoclf.errors import RecipeInvalidError, one_line
from videoclf.option_names import option
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.renamed import Renamed
from videoclf.recipe.validation_errors import describe_validation, known_keys, section_model


def load_recipe(
    path: Path, overrides: list[str] | None = None, *, notice: Callable[[str], object] = lambda _text: None
) -> Recipe:
    """The recipe in a TOML file, with ``section.key=value`` overrides applied before it is checked; ``section.key=``
    removes the file's value, so that the default applies.

    Args:
        path: of the file.
        overrides: are applied in this order.
        notice: called with one line if file or overrides use keys of older versions.

    Raises:
        RecipeInvalidError: the message names the file, the key, the value and what is allowed.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeInvalidError(f"cannot be read ({error.strerror})", source=path, hint="check the path") from error
    except (ValueError, RecursionError) as error:
        raise RecipeInvalidError(f"is not TOML ({one_line(error)})", source=path, hint="see docs/recipes.md") from error
    source = f"{path} with {option('set', *overrides)}" if overrides else str(path)
    return parse_recipe(tree, overrides or [], source=source, notice=notice)


def parse_recipe(
    tree: dict[str, Any],
    overrides: list[str],
    *,
    source: str,
    notice: Callable[[str], object] = lambda _text: None,
) -> Recipe:
    """Check a tree of plain values, overrides applied, as a recipe; ``source`` names it in messages.

    Args:
        tree: sections by name; stays as it is.
        overrides: see `load_recipe`.
        source: of the tree.
        notice: see `load_recipe`.

    Raises:
        RecipeInvalidError: the message names the source, the key, the value and what is allowed.
    """
    renamed = Renamed()
    try:
        tree = renamed.under_todays_names(tree)
        for override in overrides:
            _apply_override(tree, override, renamed)
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeInvalidError(describe_validation(error, Recipe), source=source) from error
    except ValueError as error:
        raise RecipeInvalidError(str(error), source=source) from error
    if renamed.found:
        named = ", ".join(f"{first} is {now} now" for first, now in renamed.found.items())
        notice(f"{source}: names of an older version are used: {named}; they are still read")
    return recipe


def _apply_override(tree: dict[str, Any], override: str, renamed: Renamed) -> None:
    key, separator, text = override.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise RecipeInvalidError(
            f"expected KEY=VALUE, for instance {option('set', 'training.epochs=20')}", source=option("set", override)
        )
    if len(parts) == 2:
        parts[1] = renamed.key(parts[0], parts[1])
    section = tree
    for part in parts[:-1]:
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise RecipeInvalidError(f"{part!r} is a value, not a section", source=option("set", override))
    if text.strip():
        value = _literal(text.strip())
        section[parts[-1]] = renamed.value(parts[0], parts[1], value) if len(parts) == 2 else value
        return
    owner = section_model(Recipe, parts[:-1])  # what is taken away is not there for the recipe's check to complain of
    if owner is None or parts[-1] not in owner.model_fields:
        raise RecipeInvalidError(
            f"unknown key {key.strip()!r}", source=option("set", override), hint=f"{known_keys(Recipe, parts[:-1])}"
        )
    section.pop(parts[-1], None)


def _literal(text: str) -> object:
    """``8`` is a number, ``true`` a truth value, ``[1, 2]`` an array; what is no TOML value is taken as a string."""
    try:
        tree = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return tree["value"] if len(tree) == 1 else text


def recipe_to_toml(recipe: Recipe) -> str:
    """The recipe as TOML text, which `load_recipe` reads back to an equal recipe. Every key is written."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
