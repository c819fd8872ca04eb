"""The ridge of a clip's head, within the whole network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from videoclf.errors import RecipeInvalidError
from videoclf.modeling.checkpoint import load_model, save_model
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.modeling.heads.ridge_layer import RidgeLayer
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import parse_recipe

TREE = {"backbone": {"name": "tiny", "frozen": True}, "head": {"ridge": True, "ridge_share": 0.25}}
RECIPE = Recipe.model_validate(TREE)
FEATURE_SIZE = 432


def build(recipe: Recipe = RECIPE) -> VideoClassifier:
    torch.manual_seed(0)
    classifier = build_classifier(recipe, 3)
    if classifier.ridge is not None:
        classifier.ridge.set_weights(
            torch.randn(3 * FEATURE_SIZE), torch.rand(3 * FEATURE_SIZE) + 0.5, torch.randn(3, 3 * FEATURE_SIZE) * 0.01,
            torch.randn(3),
        )  # fmt: skip
    return classifier.eval()


def test_padding_and_other_clips_change_nothing() -> None:
    layer = build().ridge
    assert layer is not None
    steps, lengths = torch.randn(3, 9, FEATURE_SIZE), torch.tensor([1, 4, 9])
    alone = torch.cat([layer(steps[i : i + 1, :n], torch.tensor([n])) for i, n in enumerate(lengths)])
    torch.testing.assert_close(layer(steps, lengths), alone, atol=1e-5, rtol=1e-5)


def test_its_logits_are_averaged_with_those_of_the_head() -> None:
    classifier = build()
    steps, lengths = torch.randn(2, 5, FEATURE_SIZE), torch.tensor([5, 3])
    assert classifier.ridge is not None
    own, ridge = classifier.head(classifier.temporal(steps, lengths)), classifier.ridge(steps, lengths)
    torch.testing.assert_close(classifier.classify(steps, lengths), 0.75 * own + 0.25 * ridge)


def test_in_training_the_temporal_model_learns_alone() -> None:
    classifier = build().train()
    assert classifier.ridge is not None
    classifier.ridge.weight.fill_(torch.nan)
    assert classifier.classify(torch.randn(2, 5, FEATURE_SIZE), torch.tensor([5, 3])).isfinite().all()
    assert not any(parameter.requires_grad for parameter in classifier.ridge.parameters())


def test_the_other_weights_are_those_of_a_network_without_it() -> None:
    without = build(Recipe.model_validate({"backbone": TREE["backbone"]})).state_dict()
    with_ridge = build().state_dict()
    added = {f"ridge.{name}" for name in ("share", "mean", "deviation", "weight", "bias")}
    assert with_ridge.keys() - without.keys() == added
    assert all(torch.equal(with_ridge[name], tensor) for name, tensor in without.items())


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_model_file_holds_it(tmp_path: Path, precision: str) -> None:
    header = ModelHeader.model_validate(
        {"name": "walkers", "recipe": RECIPE, "labels": ("run", "skip", "walk"), "precision": precision}
    )
    classifier = build()
    save_model(tmp_path / "model.safetensors", classifier, header)
    loaded, _ = load_model(tmp_path / "model.safetensors")
    steps, lengths = torch.randn(2, 5, FEATURE_SIZE), torch.tensor([5, 3])
    tolerance = 1e-6 if precision == "float32" else 2e-2
    torch.testing.assert_close(
        loaded.classify(steps, lengths), classifier.classify(steps, lengths), atol=tolerance, rtol=0
    )


def test_before_it_is_fitted_it_says_nothing() -> None:
    assert RidgeLayer(4, 2, 0.5)(torch.randn(1, 3, 4), torch.tensor([3])).tolist() == [[0, 0]]


def test_it_needs_features_that_stay_the_same() -> None:
    with pytest.raises(RecipeInvalidError, match=r"head\.ridge = true requires backbone\.frozen = true"):
        parse_recipe({**TREE, "backbone": {"name": "tiny", "frozen": False}}, [], source="recipe.toml")
