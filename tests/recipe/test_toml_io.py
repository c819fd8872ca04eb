from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoclf.errors import RecipeInvalidError
from videoclf.recipe.backbone import Backbone
from videoclf.recipe.backbone_names import TORCHVISION_2D, TORCHVISION_3D
from videoclf.recipe.preprocess import Preprocess
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.sampling import Sampling
from videoclf.recipe.temporal import Temporal
from videoclf.recipe.toml_io import load_recipe, parse_recipe, recipe_to_toml
from videoclf.recipe.training import Training

RECIPES = st.builds(
    Recipe,
    description=st.text(max_size=200),
    sampling=st.builds(
        Sampling,
        fps=st.floats(0, 240, exclude_min=True),
        max_frames=st.integers(1, 40),
        order=st.sampled_from(["time", "shuffled"]),
    ),
    preprocess=st.builds(
        Preprocess,
        fit=st.sampled_from(["stretch", "crop"]),
        height=st.integers(16, 1024),
        crop_margin=st.floats(1, 4),
        channels=st.permutations(["rgb", "gray_triplet", "difference"]).map(tuple),
        mean=st.tuples(*[st.floats(-1, 1)] * 3),
        std=st.tuples(*[st.floats(1e-3, 10)] * 3),
    ),
    backbone=st.builds(
        Backbone,
        name=st.sampled_from(
            [*TORCHVISION_2D, *TORCHVISION_3D, "tiny", "inflated:resnet18", "timm:mobilenetv3_large_100"]
        ),
        weights=st.text(max_size=50).filter(lambda text: text not in {"imagenet", "kinetics400"}),
        frozen=st.booleans(),
    ),
    temporal=st.builds(Temporal, num_layers=st.integers(1, 8), dropout=st.floats(0, 1, exclude_max=True)),
    training=st.builds(
        Training,
        learning_rate=st.floats(0, 10, exclude_min=True),
        backbone_learning_rate=st.none() | st.floats(0, 10, exclude_min=True),
        seed=st.integers(0, 2**32 - 1),
    ),
)


def written(folder: Path, toml: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(toml, encoding="utf-8")
    return path


@given(recipe=RECIPES)
@settings(max_examples=60, deadline=None)
def test_a_recipe_written_as_toml_is_read_back_equal(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = written(tmp_path_factory.getbasetemp(), recipe_to_toml(recipe))
    assert load_recipe(path) == recipe


def test_written_toml_names_every_section_and_its_defaults() -> None:
    toml = recipe_to_toml(Recipe())
    for line in ("[sampling]", "[preprocess]", "[backbone]", "[temporal]", "[training]", "max_frames = 64"):
        assert line in toml.splitlines()


def test_recipes_are_read_without_torch() -> None:
    code = "import sys, videoclf.recipe.recipe, videoclf.recipe.header; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("override", ["training.epochs", "=3", "training..epochs=3", ""])
def test_an_override_of_another_form_is_refused_with_an_example(override: str) -> None:
    with pytest.raises(
        RecipeInvalidError, match=r"expected KEY=VALUE, for instance overrides=\['training\.epochs=20'\]"
    ):
        parse_recipe({}, [override], source="given")


def test_an_override_below_a_plain_value_is_refused() -> None:
    with pytest.raises(RecipeInvalidError, match="'description' is a value, not a section"):
        parse_recipe({"description": "text"}, ["description.epochs=1"], source="given")


def test_overrides_win_over_the_file_and_the_last_wins_over_the_first(tmp_path: Path) -> None:
    path = written(tmp_path, "[training]\nepochs = 5\npatience = 4")
    training = load_recipe(path, ["training.epochs=6", " training.epochs = 7"]).training
    assert (training.epochs, training.patience) == (7, 4)


def test_an_override_without_a_value_takes_the_files_value_away(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[backbone]\nintermediate_stage_from_top = 5\n")
    assert load_recipe(path, ["backbone.intermediate_stage_from_top=", "training.epochs="]) == Recipe()


@pytest.mark.parametrize("key", ["training.epoch", "epochs", "trainings.epochs", "training.epochs.first"])
def test_taking_an_unknown_key_away_is_refused(key: str) -> None:
    with pytest.raises(RecipeInvalidError, match=f"unknown key '{key}'"):
        parse_recipe({}, [f"{key}="], source="given")


def test_an_override_may_be_a_number_a_truth_value_an_array_or_bare_text() -> None:
    overrides = [
        "sampling.fps=2.5",
        "backbone.frozen=true",
        'preprocess.channels=["gray_triplet"]',
        "backbone.name=tiny",
    ]
    recipe = parse_recipe({}, overrides, source="given")
    assert recipe.sampling.fps == 2.5
    assert recipe.backbone == Backbone(name="tiny", frozen=True)
    assert recipe.preprocess.channels == ("gray_triplet",)


def test_an_override_may_hold_an_equals_sign() -> None:
    recipe = parse_recipe({}, ["backbone.weights=runs/lr=3/model.safetensors"], source="given")
    assert recipe.backbone.weights == "runs/lr=3/model.safetensors"


@pytest.mark.parametrize("content", [b"[sampling\nfps = 8", b"fps", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeInvalidError, match=r"mine\.toml: is not TOML \(.+\); see docs"):
        load_recipe(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalidError, match=r"nowhere\.toml: cannot be read \(No such file or directory\)"):
        load_recipe(tmp_path / "nowhere.toml")


def test_an_empty_file_is_the_default_recipe(tmp_path: Path) -> None:
    assert load_recipe(written(tmp_path, "")) == Recipe()


@pytest.mark.parametrize("value", ["[" * 5000, "1" * 5000])
def test_a_value_that_breaks_the_parser_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(RecipeInvalidError):
        load_recipe(written(tmp_path, f"[training]\nepochs = {value}"))
    with pytest.raises(RecipeInvalidError):
        parse_recipe({}, [f"training.epochs={value}"], source="given")


def test_an_override_of_two_lines_is_no_number() -> None:
    with pytest.raises(RecipeInvalidError, match=r"training\.epochs = '1\\nfoo=2'"):
        parse_recipe({}, ["training.epochs=1\nfoo=2"], source="given")
