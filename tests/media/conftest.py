"""Coded clips, each made once a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.media.coded_clips import Clip, ClipRecipe

MakeClip = Callable[[ClipRecipe], Clip]


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """Gives the clip of a recipe."""
    folder = tmp_path_factory.mktemp("coded")
    made: dict[str, Clip] = {}

    def make(recipe: ClipRecipe) -> Clip:
        if recipe.name not in made:
            made[recipe.name] = recipe.make(folder / recipe.name)
        return made[recipe.name]

    return make
