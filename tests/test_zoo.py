"""The zoo: every recipe builds and is described; every model has its card. (tests/training/test_zoo.py trains each.)"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from videoclf.errors import ModelFileInvalidError
from videoclf.modeling.classifier import build_classifier
from videoclf.recipe.header import read_header
from videoclf.recipe.toml_io import load_recipe
from videoclf.zoo import (
    DEFAULT_MODEL_NAME,
    DEFAULT_RECIPE_NAME,
    EVERYDAY_MODEL_NAME,
    downloadable_names,
    find_model,
    find_recipe,
    measured,
    measured_how,
    model_names,
    models_folder,
    recipe_names,
)


def test_the_defaults_are_there() -> None:
    assert DEFAULT_MODEL_NAME in model_names()
    assert DEFAULT_RECIPE_NAME in recipe_names()
    assert EVERYDAY_MODEL_NAME in downloadable_names()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_described(name: str) -> None:
    assert 20 < len(load_recipe(find_recipe(name)).description) < 200


@pytest.mark.parametrize("name", model_names())
def test_every_model_is_small_has_a_card_and_the_recipe_beside_it(name: str) -> None:
    path = find_model(name)
    recipe = load_recipe(find_recipe(name))
    kept = read_header(path).recipe
    assert path.stat().st_size <= 12_000_000
    assert (models_folder() / f"{name}.md").is_file()
    assert (kept.sampling, kept.preprocess, kept.temporal) == (recipe.sampling, recipe.preprocess, recipe.temporal)


def test_a_run_without_a_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(
        ModelFileInvalidError, match=r"contains no model.safetensors; a run interrupted in its first epoch"
    ):
        find_model(tmp_path)


def test_the_measured_figures_are_of_todays_recipes() -> None:
    assert sorted(measured()) == recipe_names()
    assert set(measured_how()) == {"command", "clip", "date", "machine", "versions"}


@pytest.mark.parametrize("name", recipe_names())
def test_the_number_of_parameters_is_that_of_the_recipe(name: str) -> None:
    recipe = load_recipe(find_recipe(name))
    with torch.device("meta"):
        network = build_classifier(recipe, 400 if name in downloadable_names() else 101)
    assert measured()[name]["num_parameters"] == sum(parameter.numel() for parameter in network.parameters())
