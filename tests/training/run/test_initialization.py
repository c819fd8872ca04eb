from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.errors import ModelFileInvalidError, WeightsUnavailableError
from videoclf.modeling.checkpoint import load_model, save_model
from videoclf.recipe.recipe import Recipe
from videoclf.training.run.initialization import (
    choose_cache,
    first_weights_file,
    identify_first_weights,
    inherited_clips,
)
from videoclf.zoo import models_folder


@pytest.mark.parametrize(("chosen", "is_told"), [("auto", False), (None, False), ("cache", True)])
def test_a_cache_that_is_asked_for_and_of_no_use_is_told(tmp_path: Path, chosen: str | None, is_told: bool) -> None:
    recipe = Recipe()
    trained = recipe.model_copy(update={"backbone": recipe.backbone.model_copy(update={"frozen": False})})
    notices: list[str] = []
    folder = None if chosen is None else chosen if chosen == "auto" else tmp_path / chosen
    assert choose_cache(folder, trained, notices.append) is None
    assert [notice.startswith("feature_cache: not used") for notice in notices] == [True] * is_told


def with_weights(weights: str) -> Recipe:
    recipe = Recipe()
    return recipe.model_copy(update={"backbone": recipe.backbone.model_copy(update={"weights": weights})})


def test_clips_are_inherited_from_a_model_to_start_from_whatever_its_file_is_called(
    tmp_path: Path, tiny_model: Path
) -> None:
    path = tmp_path / "model.anything"
    save_model(path, *load_model(tiny_model), ["A" * 16])
    assert inherited_clips(Recipe(), path) == inherited_clips(with_weights(str(path)), None) == {"A" * 16}


def test_a_damaged_list_of_clips_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x")
    for error, recipe, init in (
        (ModelFileInvalidError, Recipe(), tmp_path / "weights"),
        (WeightsUnavailableError, with_weights(str(tmp_path / "weights")), None),
    ):
        with pytest.raises(error, match="is not a safetensors file, or is cut short"):
            inherited_clips(recipe, init)


def test_a_shipped_models_weights_are_found_by_its_name_and_known_by_it() -> None:
    recipe = with_weights("actions16")
    assert first_weights_file(recipe, None) == models_folder() / "actions16.safetensors"
    assert identify_first_weights(recipe, None) == "actions16"  # as ever: half-done runs go on


@pytest.mark.parametrize(("weights", "init"), [("none", None), ("imagenet", None), ("none", "kinetics400-s3d")])
def test_weights_that_lie_in_no_file_bring_no_clips(weights: str, init: str | None) -> None:
    assert inherited_clips(with_weights(weights), init) == frozenset()
    assert identify_first_weights(with_weights(weights), init) == (init or weights)
