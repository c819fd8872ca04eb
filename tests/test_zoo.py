"""The zoo: every recipe builds, trains a step, and is described; every model has its card."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from videoclf.modeling.classifier import build_classifier
from videoclf.recipe.header import read_header
from videoclf.recipe.recipe import load_recipe
from videoclf.zoo import DEFAULT_MODEL_NAME, DEFAULT_RECIPE_NAME, find_model, find_recipe, model_names, models_folder
from videoclf.zoo import recipe_names as names


def test_the_defaults_are_there() -> None:
    assert DEFAULT_MODEL_NAME in model_names()
    assert DEFAULT_RECIPE_NAME in names()


@pytest.mark.parametrize("name", names())
def test_every_recipe_builds_and_learns(name: str) -> None:
    recipe = load_recipe(find_recipe(name))
    assert recipe.description
    model = build_classifier(recipe, 5)
    num_channels = 3 * len(recipe.preprocess.channels)
    clips, num_frames = torch.randn(2, 3, num_channels, 64, 64), torch.tensor([3, 2])
    torch.autograd.backward(cross_entropy(model(clips, num_frames), torch.tensor([1, 4])))
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", model_names())
def test_every_model_is_small_has_a_card_and_the_recipe_beside_it(name: str) -> None:
    path = find_model(name)
    recipe = load_recipe(find_recipe(name))
    kept = read_header(path).recipe
    assert path.stat().st_size <= 12_000_000
    assert (models_folder() / f"{name}.md").is_file()
    assert (kept.sampling, kept.preprocess, kept.temporal) == (recipe.sampling, recipe.preprocess, recipe.temporal)
