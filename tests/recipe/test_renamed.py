"""Keys and values of older versions are read for good; hashes do not change by a new name."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from videoclf.errors import RecipeInvalidError
from videoclf.recipe.augment import Augment
from videoclf.recipe.backbone import Backbone
from videoclf.recipe.header import ModelHeader, parse_header
from videoclf.recipe.preprocess import Preprocess
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe, parse_recipe, recipe_to_toml
from videoclf.recipe.training import Training

FIRST: dict[str, Any] = {
    "preprocess": {"channels": ["rgb", "moments"]},
    "backbone": {"tap_below": 5, "tap_grid": 2},
    "augment": {"stored_views": 3},
    "training": {"keep": "last"},
}
TODAY: dict[str, Any] = {
    "preprocess": {"channels": ["rgb", "gray_triplet"]},
    "backbone": {"intermediate_stage_from_top": 5, "intermediate_grid": 2},
    "augment": {"cached_views": 3},
    "training": {"checkpoint_choice": "last"},
}


def test_first_names_and_todays_make_the_same_recipe() -> None:
    assert Recipe.model_validate(FIRST) == Recipe.model_validate(TODAY)
    assert Backbone.model_validate({"unfrozen_stages": 2}).trainable_stages == 2


def test_what_is_written_has_todays_names() -> None:
    tree = tomllib.loads(recipe_to_toml(Recipe.model_validate(FIRST)))
    assert all(TODAY[section].items() <= tree[section].items() for section in TODAY)


def test_first_names_are_attributes_too() -> None:
    recipe = Recipe.model_validate(FIRST)
    assert (recipe.backbone.tap_below, recipe.backbone.tap_grid, recipe.backbone.unfrozen_stages) == (5, 2, None)
    assert (recipe.augment.stored_views, recipe.training.keep) == (3, "last")
    bright = Augment(brightness=0.4)
    assert bright.varies_pictures is bright.augments_frames is True
    assert bright.of_pictures == bright.frame_augmentation
    with pytest.raises(AttributeError, match="wings"):
        _ = recipe.backbone.wings


def test_hashed_text_is_that_of_the_first_version() -> None:
    recipe = Recipe.model_validate(TODAY)
    hashed = json.loads(recipe.to_hashed_json())
    assert all(FIRST[section].items() <= hashed[section].items() for section in FIRST)
    assert recipe.preprocess.to_hashed_json() == (
        '{"fit":"crop","height":224,"width":224,"crop_margin":1.0,"channels":["rgb","moments"],'
        '"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}'
    )
    assert recipe.backbone.to_hashed_json(exclude={"weights", "frozen", "trainable_stages"}) == (
        '{"name":"mobilenet_v2","temporal_stride":1,"temporal_shift":false,"tap_below":5,"tap_grid":2}'
    )


@pytest.mark.parametrize("section", [Augment, Backbone, Training])
def test_every_renamed_key_is_hashed_by_its_first_name(section: type[Augment | Backbone | Training]) -> None:
    assert {now: section.model_fields[now].serialization_alias for now in section.FIRST_NAMES.values()} == {
        now: first for first, now in section.FIRST_NAMES.items()
    }


@pytest.mark.parametrize("overrides", [[], ["training.epochs=3"], ["training.keep=last", "backbone.tap_below="]])
def test_a_file_with_first_names_gets_one_line(tmp_path: Path, overrides: list[str]) -> None:
    path, notes = tmp_path / "r.toml", list[str]()
    path.write_text('[training]\nkeep = "last"\n[preprocess]\nchannels = ["moments"]\n[backbone]\ntap_below = 5\n')
    recipe = load_recipe(path, overrides, notice=notes.append)
    assert recipe.training.checkpoint_choice == "last"
    (note,) = notes
    assert "training.keep is training.checkpoint_choice now" in note
    assert "preprocess.channels 'moments' is 'gray_triplet' now" in note


def test_todays_names_are_read_without_a_word(tmp_path: Path) -> None:
    path, notes = tmp_path / "r.toml", list[str]()
    path.write_text(recipe_to_toml(Recipe.model_validate(TODAY)))
    assert load_recipe(path, ["training.checkpoint_choice=best"], notice=notes.append)
    assert notes == []


def test_both_names_of_a_key_exclude_each_other() -> None:
    both = {"training": {"keep": "last", "checkpoint_choice": "best"}}
    with pytest.raises(RecipeInvalidError, match="checkpoint_choice is given twice, also under its first name, keep"):
        parse_recipe(both, [], source="given")
    with pytest.raises(ValidationError, match="given twice"):
        Recipe.model_validate(both)


def test_a_header_of_format_1_is_read_and_written_in_the_format_of_today() -> None:
    tree = {"format_version": 1, "name": "walkers", "recipe": FIRST, "labels": ["run", "walk"]}
    header = parse_header(json.dumps(tree), Path("m.safetensors"))
    assert header.recipe == Recipe.model_validate(TODAY)
    written = json.loads(header.to_metadata()["videoclf"])
    assert written["format_version"] == ModelHeader.model_fields["format_version"].default == 3
    assert written["recipe"]["preprocess"]["channels"] == ["rgb", "gray_triplet"]


def test_channels_that_are_no_list_are_refused_as_ever() -> None:
    with pytest.raises(ValidationError, match="channels"):
        Preprocess.model_validate({"channels": "moments"})
