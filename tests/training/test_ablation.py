"""benchmarks/ablation.py: every row is a recipe, and another one than the first."""

from __future__ import annotations

import runpy
from pathlib import Path

from videoclf.training.run.initialization import choose_recipe

ABLATION = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "ablation.py"))


def test_every_row_is_a_recipe_of_its_own() -> None:
    rows = {**ABLATION["ROWS"], **ABLATION["TRAINED_ROWS"]}
    common = (
        "training.refit=false",
        "backbone.intermediate_stage_from_top=",
    )  # as the tables have them, and a shift excludes intermediate features
    recipes = {row: choose_recipe("mobilenet_v2-gru", None, (*common, *changes)) for row, changes in rows.items()}
    first = recipes["the recipe"]
    assert [row for row, recipe in recipes.items() if recipe == first] == ["the recipe", "no intermediate features"]
    assert len({recipe.model_dump_json() for recipe in recipes.values()}) == len(recipes) - 1
