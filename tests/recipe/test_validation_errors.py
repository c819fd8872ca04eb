from __future__ import annotations

from typing import Any

import pytest

from videoclf.errors import RecipeInvalidError
from videoclf.recipe.toml_io import parse_recipe


def complaint_of(tree: dict[str, Any]) -> str:
    with pytest.raises(RecipeInvalidError) as caught:
        parse_recipe(tree, [], source="mine.toml")
    return str(caught.value)


def test_a_misspelt_key_is_named_with_the_known_ones() -> None:
    complaint = complaint_of({"sampling": {"fsp": 8}})
    assert complaint.startswith("mine.toml: unknown key 'sampling.fsp'; known keys: fps, max_frames, ")


def test_a_misspelt_section_is_named_with_the_known_ones() -> None:
    complaint = complaint_of({"trainings": {"epochs": 8}})
    assert "unknown key 'trainings'; known keys: description, sampling, preprocess" in complaint


def test_further_mistakes_are_counted() -> None:
    complaint = complaint_of({"sampling": {"fps": -1, "max_frames": 0, "order": "backwards"}})
    assert complaint.startswith("mine.toml: sampling.fps = -1: ")
    assert complaint.endswith("greater than 0 (and 2 more)")


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(complaint_of({"backbone": {"name": "x" * 100_000}})) < 500
