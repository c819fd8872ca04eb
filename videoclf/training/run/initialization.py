"""Resolves the recipe and the network with which training, or extraction, starts."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from videoclf.data.feature_cache import FeatureCache
from videoclf.errors import ModelFileInvalidError, RecipeInvalidError, RunFolderUnusableError, WeightsUnavailableError
from videoclf.modeling.backbones.pretrained_weights import load_pretrained
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.checkpoint import initialise_from
from videoclf.modeling.classifier import VideoClassifier, build_classifier, check_input_size
from videoclf.modeling.open_model import open_model
from videoclf.option_names import option
from videoclf.recipe.header import read_header
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe, parse_recipe
from videoclf.recipe.trained_clips import read_trained_clips
from videoclf.zoo import DEFAULT_RECIPE_NAME, downloadable_names, find_model, find_recipe, model_names


def choose_recipe(
    recipe: str | Path | Recipe | None,
    init: str | Path | None,
    overrides: Sequence[str],
    notice: Callable[[str], object] = lambda _text: None,
) -> Recipe:
    """The named recipe, that of the model to start from, or the default one, with overrides applied.

    Args:
        recipe: a name, a file, or the recipe itself.
        init: the model to start from.
        overrides: see `load_recipe`.
        notice: called with one line if the user's file or overrides use keys of older versions.

    Raises:
        RecipeInvalidError: there is no such recipe, or overrides are invalid.
        ModelFileInvalidError: there is no such model.
    """
    if isinstance(overrides, str):
        raise TypeError(f"overrides must be a list of KEY=VALUE, got the single {overrides!r}")
    if isinstance(recipe, Recipe):
        return parse_recipe(recipe.model_dump(), list(overrides), source="the recipe", notice=notice)
    if init is not None and any(override.startswith("backbone.weights") for override in overrides):
        raise RecipeInvalidError(
            f"{option('init')} and {option('set', 'backbone.weights=...')} both choose initial weights",
            hint="use only one of them",
        )
    if recipe is None and init is not None:
        if str(init) in downloadable_names():
            changes = [f"description=Started from {init}.", "backbone.weights=none", *overrides]
            return load_recipe(find_recipe(init), changes, notice=notice)
        path = find_model(init)
        tree = read_header(path).recipe.model_dump()
        return parse_recipe(tree, list(overrides), source=f"{path}, its recipe", notice=notice)
    return load_recipe(find_recipe(recipe or DEFAULT_RECIPE_NAME), list(overrides), notice=notice)


def with_custom_backbone(recipe: Recipe, backbone: Backbone) -> Recipe:
    """The recipe with a custom backbone instead of the one that it names."""
    tree = recipe.model_dump()
    stride = getattr(backbone, "temporal_stride", 1)
    tree["backbone"].update(name="custom", weights="none", temporal_stride=stride)
    return parse_recipe(tree, [], source="the recipe with the given backbone")


def build_network(
    recipe: Recipe, num_classes: int, init: str | Path | None = None, backbone: Backbone | None = None
) -> VideoClassifier:
    """Build the network with its initial weights; random ones come from the recipe's seed.

    Args:
        recipe: describes it.
        num_classes: C.
        init: a model whose backbone and temporal weights are copied.
        backbone: a custom one, with its weights; a copy is used.

    Raises:
        RecipeInvalidError: the backbone does not accept the recipe's image size.
        WeightsUnavailableError, ModelFileInvalidError: the weights cannot be loaded.
    """
    check_input_size(recipe)
    torch.manual_seed(recipe.training.seed)
    classifier = build_classifier(recipe, num_classes, copy.deepcopy(backbone))
    if init is not None:
        other, _ = open_model(init, backbone=copy.deepcopy(backbone))
        initialise_from(classifier, other, source=str(init))
    else:
        load_pretrained(classifier.backbone, recipe.backbone)
    return classifier


def first_weights_file(recipe: Recipe, init: str | Path | None) -> Path | None:
    """The file of the initial weights; None if they are downloaded, or if there are none."""
    if init is not None:
        return None if str(init) in downloadable_names() else find_model(init)
    weights = recipe.backbone.weights
    path = find_model(weights) if weights in model_names() else Path(weights)
    return path if path.is_file() else None


def identify_first_weights(recipe: Recipe, init: str | Path | None) -> str:
    """Text that identifies the initial weights: for a file by its content, otherwise by the name."""
    path = first_weights_file(recipe, init)
    if path is None or (init is None and recipe.backbone.weights in model_names()):
        return str(init or recipe.backbone.weights)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inherited_clips(recipe: Recipe, init: str | Path | None) -> frozenset[str]:
    """Hashes of the clips that the first weights were trained on; see `videoclf.recipe.trained_clips`.

    Raises:
        ModelFileInvalidError: the model to start from is damaged.
        WeightsUnavailableError: the file of weights is damaged.
    """
    path = first_weights_file(recipe, init)
    if path is None:
        return frozenset()
    try:
        return read_trained_clips(path)
    except ModelFileInvalidError as error:
        if init is not None:
            raise
        raise error.as_another(WeightsUnavailableError) from error


def choose_cache(
    chosen: FeatureCache | str | Path | None, recipe: Recipe, notice: Callable[[str], None]
) -> FeatureCache | None:
    """The cache that a run uses; None if it is not useful, not wanted, or cannot recognize features.

    Args:
        chosen: a cache, its folder, ``auto`` for the default folder, or None.
        recipe: its backbone computes the features.
        notice: called with the reason if a cache was requested but is not used.
    """
    if not recipe.backbone.frozen:
        if chosen not in {None, "auto"}:
            notice(f"{option('cache')}: not used: the backbone is trained here, so its features change with every step")
        return None
    if chosen is None or isinstance(chosen, FeatureCache):
        cache = chosen
    elif chosen != "auto":
        cache = FeatureCache(chosen)
    else:
        try:
            cache = FeatureCache()
        except RunFolderUnusableError as error:
            notice(f"{error}. Until then, features are kept for this run only")
            return None
    if cache is not None and recipe.backbone.name == "custom":
        notice(
            "features are kept for this run only, because the backbone is custom: its code may be different the "
            "next time"
        )
        return None
    return cache
