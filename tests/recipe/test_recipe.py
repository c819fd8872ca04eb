from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoclf.errors import RecipeInvalid
from videoclf.recipe.backbones import TORCHVISION_2D, TORCHVISION_3D
from videoclf.recipe.recipe import (
    Backbone,
    Preprocess,
    Recipe,
    Sampling,
    Temporal,
    Training,
    load_recipe,
    parse_recipe,
    recipe_to_toml,
)
from videoclf.zoo import find_recipe, recipe_names

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
        channels=st.permutations(["rgb", "moments", "difference"]).map(tuple),
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


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_zoo_is_valid_and_described(name: str) -> None:
    assert load_recipe(find_recipe(name)).description


def test_recipes_are_read_without_torch() -> None:
    code = "import sys, videoclf.recipe.recipe, videoclf.recipe.header; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_misspelt_key_is_named_with_the_known_ones(tmp_path: Path) -> None:
    path = written(tmp_path, "[sampling]\nfsp = 8")
    with pytest.raises(RecipeInvalid, match=r"mine\.toml: unknown key 'sampling\.fsp'; known here: fps, max_frames, "):
        load_recipe(path)


def test_a_misspelt_section_is_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match="unknown key 'trainings'; known here: description, sampling, preprocess"):
        load_recipe(written(tmp_path, "[trainings]\nepochs = 8"))


def test_further_mistakes_are_counted(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match=r"sampling\.fps = -1: .*greater than 0 \(and 2 more\)"):
        load_recipe(written(tmp_path, "[sampling]\nfps = -1\nmax_frames = 0\norder = 'backwards'"))


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("sampling.max_frames=1e9", r"sampling\.max_frames = 1000000000\.0: .*less than or equal to 1024"),
        ("sampling.fps=0", r"sampling\.fps = 0: .*greater than 0"),
        ("sampling.fps=inf", r"sampling\.fps = inf: .*finite"),
        ("preprocess.height=100000", r"preprocess\.height = 100000: .*less than or equal to 1024"),
        ("preprocess.mean=[nan, 0, 0]", r"preprocess\.mean\.0 = nan: .*finite"),
        ("preprocess.std=[0.2, 0, 0.2]", r"std\.1 = 0: input should be greater than or equal to 0\.001"),
        ("preprocess.channels=[]", r"preprocess\.channels = \[\]: .*at least 1"),
        ('preprocess.channels=["rgb", "rgb"]', "channels names one twice"),
        (
            "backbone.name=os.system",
            r"backbone\.name = 'os\.system': unknown backbone; allowed are tiny, torchvision's",
        ),
        ("temporal.hidden_size=999999", r"temporal\.hidden_size = 999999: .*less than or equal to 4096"),
        ("temporal.dropout=1", r"temporal\.dropout = 1: .*less than 1"),
        ("training.epochs=1.5", r"training\.epochs = 1\.5: .*integer"),
        ("training.seed=-1", r"training\.seed = -1: .*greater than or equal to 0"),
        ("sampling=3", r"sampling = 3: .*dictionary"),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_its_bound(override: str, complaint: str) -> None:
    with pytest.raises(RecipeInvalid, match=f"^given: .*{complaint}"):
        parse_recipe({}, [override], source="given")


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(RecipeInvalid) as caught:
        parse_recipe({}, [f"backbone.name={'x' * 100_000}"], source="given")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("override", ["training.epochs", "=3", "training..epochs=3", ""])
def test_an_override_of_another_form_is_refused_with_an_example(override: str) -> None:
    with pytest.raises(RecipeInvalid, match=r"expected KEY=VALUE, for instance --set training\.epochs=20"):
        parse_recipe({}, [override], source="given")


def test_an_override_below_a_plain_value_is_refused() -> None:
    with pytest.raises(RecipeInvalid, match="'description' is a value, not a section"):
        parse_recipe({"description": "text"}, ["description.epochs=1"], source="given")


def test_overrides_win_over_the_file_and_the_last_wins_over_the_first(tmp_path: Path) -> None:
    path = written(tmp_path, "[training]\nepochs = 5\npatience = 4")
    training = load_recipe(path, ["training.epochs=6", " training.epochs = 7"]).training
    assert (training.epochs, training.patience) == (7, 4)


def test_an_override_without_a_value_takes_the_files_value_away(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[backbone]\ntap_below = 5\n")
    assert load_recipe(path, ["backbone.tap_below=", "training.epochs="]) == Recipe()


def test_an_override_may_be_a_number_a_truth_value_an_array_or_bare_text() -> None:
    overrides = ["sampling.fps=2.5", "backbone.frozen=true", 'preprocess.channels=["moments"]', "backbone.name=tiny"]
    recipe = parse_recipe({}, overrides, source="given")
    assert recipe.sampling.fps == 2.5
    assert recipe.backbone == Backbone(name="tiny", frozen=True)
    assert recipe.preprocess.channels == ("moments",)


def test_an_override_may_hold_an_equals_sign() -> None:
    recipe = parse_recipe({}, ["backbone.weights=runs/lr=3/model.safetensors"], source="given")
    assert recipe.backbone.weights == "runs/lr=3/model.safetensors"


@pytest.mark.parametrize("content", [b"[sampling\nfps = 8", b"fps", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeInvalid, match=r"mine\.toml: is not TOML \(.+\); see docs"):
        load_recipe(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match=r"nowhere\.toml: cannot be read \(No such file or directory\)"):
        load_recipe(tmp_path / "nowhere.toml")


def test_an_empty_file_is_the_default_recipe(tmp_path: Path) -> None:
    assert load_recipe(written(tmp_path, "")) == Recipe()


@pytest.mark.parametrize(
    ("overrides", "causal"),
    [
        ([], True),
        (["temporal.bidirectional=true"], False),
        (["temporal.bidirectional=true", "temporal.kind=mean"], True),
        (["sampling.order=shuffled"], False),
    ],
)
def test_one_direction_in_time_order_is_causal(overrides: list[str], causal: bool) -> None:
    assert parse_recipe({}, overrides, source="given").causal is causal


@pytest.mark.parametrize(("channels", "steps"), [('["rgb"]', 0), ('["moments"]', 1), ('["rgb", "difference"]', 1)])
def test_channels_that_show_motion_look_one_step_ahead(channels: str, steps: int) -> None:
    assert parse_recipe({}, [f"preprocess.channels={channels}"], source="given").lookahead_steps == steps


@pytest.mark.parametrize("value", ["[" * 5000, "1" * 5000])
def test_a_value_that_breaks_the_parser_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(RecipeInvalid):
        load_recipe(written(tmp_path, f"[training]\nepochs = {value}"))
    with pytest.raises(RecipeInvalid):
        parse_recipe({}, [f"training.epochs={value}"], source="given")


def test_an_override_of_two_lines_is_no_number() -> None:
    with pytest.raises(RecipeInvalid, match=r"training\.epochs = '1\\nfoo=2'"):
        parse_recipe({}, ["training.epochs=1\nfoo=2"], source="given")


def test_a_window_that_no_memory_holds_is_refused_though_each_number_is_allowed() -> None:
    numbers = ["sampling.max_frames=1024", "preprocess.height=1024", "preprocess.width=1024"]
    with pytest.raises(
        RecipeInvalid, match=r"^given: sampling.max_frames × .* is 1,073,741,824, more than the 134,217,728"
    ):
        parse_recipe({}, numbers, source="given")


@pytest.mark.parametrize("name", ["custom", "timm:mobilenetv3_large_100"])
def test_networks_without_known_stages_cannot_be_trained_by_stages(name: str) -> None:
    tree = {"backbone": {"name": name}}
    with pytest.raises(RecipeInvalid, match=rf"unfrozen_stages = 2: {name} has no stages known here; unset it"):
        parse_recipe({"backbone": {"name": name, "unfrozen_stages": 2}}, [], source="x")
    with pytest.raises(RecipeInvalid, match=rf"layer_decay = 0.5: {name} has no stages known here; set it to 1"):
        parse_recipe(tree, ["training.layer_decay=0.5"], source="x")


def test_a_frozen_backbone_has_no_unfrozen_stages() -> None:
    with pytest.raises(RecipeInvalid, match="frozen = true and unfrozen_stages = 2 exclude each other; unset one"):
        parse_recipe({"backbone": {"frozen": True, "unfrozen_stages": 2}}, [], source="x")


def test_by_default_nothing_is_augmented() -> None:
    augment = Recipe().augment
    assert not any([augment.varies_pictures, augment.varies_time, augment.mixes_clips])
