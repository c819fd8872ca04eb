from __future__ import annotations

import pytest

from videoclf.errors import RecipeInvalidError
from videoclf.recipe.augment import Augment
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe, parse_recipe
from videoclf.zoo import find_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_zoo_is_valid_and_described(name: str) -> None:
    assert load_recipe(find_recipe(name)).description


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
    with pytest.raises(RecipeInvalidError, match=f"^given: .*{complaint}"):
        parse_recipe({}, [override], source="given")


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


@pytest.mark.parametrize(("channels", "steps"), [('["rgb"]', 0), ('["gray_triplet"]', 1), ('["rgb", "difference"]', 1)])
def test_channels_that_show_motion_look_one_step_ahead(channels: str, steps: int) -> None:
    assert parse_recipe({}, [f"preprocess.channels={channels}"], source="given").lookahead_steps == steps


def test_a_window_that_no_memory_holds_is_refused_though_each_number_is_allowed() -> None:
    numbers = ["sampling.max_frames=1024", "preprocess.height=1024", "preprocess.width=1024"]
    with pytest.raises(
        RecipeInvalidError, match=r"^given: sampling.max_frames × .* is 1,073,741,824, more than the 134,217,728"
    ):
        parse_recipe({}, numbers, source="given")


@pytest.mark.parametrize("name", ["custom", "timm:mobilenetv3_large_100"])
def test_networks_without_known_stages_cannot_be_trained_by_stages(name: str) -> None:
    tree = {"backbone": {"name": name}}
    with pytest.raises(RecipeInvalidError, match=rf"trainable_stages = 2: {name} has no stages known here; unset it"):
        parse_recipe({"backbone": {"name": name, "trainable_stages": 2}}, [], source="x")
    with pytest.raises(RecipeInvalidError, match=rf"layer_decay = 0.5: {name} has no stages known here; set it to 1"):
        parse_recipe(tree, ["training.layer_decay=0.5"], source="x")


def test_a_frozen_backbone_has_no_trainable_stages() -> None:
    with pytest.raises(
        RecipeInvalidError, match="frozen = true and trainable_stages = 2 exclude each other; unset one"
    ):
        parse_recipe({"backbone": {"frozen": True, "trainable_stages": 2}}, [], source="x")


def test_each_key_of_augment_changes_pictures_or_does_not() -> None:
    not_of_pictures = {"speed", "cached_views", "temporal_jitter", "mixup_alpha", "cutmix_alpha"}
    frame_augmentation = Augment.model_fields.keys() - not_of_pictures
    changed = Augment(
        **{name: 0.5 if "rand" not in name else 1 for name in Augment.model_fields if name != "cached_views"}
    )
    assert changed.frame_augmentation.model_dump(include=frame_augmentation) == changed.model_dump(
        include=frame_augmentation
    )
    assert changed.frame_augmentation.model_dump(include=not_of_pictures) == Augment().model_dump(
        include=not_of_pictures
    )


def test_by_default_nothing_is_augmented() -> None:
    augment = Recipe().augment
    assert not any([augment.augments_frames, augment.varies_time, augment.mixes_clips])
