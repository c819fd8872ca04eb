"""Opens models by name: shipped ones, files, and torchvision's complete Kinetics-400 models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torchvision

from videoclf.errors import WeightsUnavailableError
from videoclf.modeling.backbones.pretrained_weights import cached_file, download_weights, fill_backbone
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.backbones.weight_check import mismatch
from videoclf.modeling.checkpoint import load_model
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.header import ModelHeader, read_header
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe
from videoclf.zoo import downloadable_names, find_model, find_recipe


def open_model(
    name_or_path: str | Path | None, *, backbone: Backbone | None = None
) -> tuple[VideoClassifier, ModelHeader]:
    """Open a model on the CPU: a shipped or downloadable one by its name, a file by its path, or (None) the default.

    Args:
        name_or_path: as for `find_model`, or one of `downloadable_names`.
        backbone: see `load_model`.

    Raises:
        ModelFileInvalidError: there is no such model, or the file cannot be used.
        WeightsUnavailableError: the hub cannot be reached.
    """
    if str(name_or_path) in downloadable_names() and backbone is None:
        return _open_kinetics400(str(name_or_path))
    return load_model(find_model(name_or_path), backbone=backbone)


def recipe_of_model(name_or_path: str | Path | None) -> Recipe:
    """The recipe of the model that `open_model` would open. No weights are read or downloaded.

    Raises:
        ModelFileInvalidError: there is no such model, or the file is not a model.
    """
    if str(name_or_path) in downloadable_names():
        return load_recipe(find_recipe(str(name_or_path)))
    return read_header(find_model(name_or_path)).recipe


def _open_kinetics400(name: str) -> tuple[VideoClassifier, ModelHeader]:
    """torchvision's network with its own head: classes and weights as they were trained."""
    recipe = load_recipe(find_recipe(name))
    weights: Any = torchvision.models.get_model_weights(recipe.backbone.name).DEFAULT
    labels = tuple(weights.meta["categories"])
    classifier = build_classifier(recipe, len(labels))
    tensors = download_weights(recipe.backbone.name)
    fill_backbone(
        classifier.backbone, tensors, recipe.backbone, remedy=f"delete {cached_file(weights)} to download it again"
    )
    head = {
        f"1.{key.rpartition('.')[2]}": tensor.flatten(1) if tensor.ndim > 1 else tensor  # S3D's is a 1×1×1 convolution
        for key, tensor in tensors.items()
        if key.startswith(("fc.", "classifier.1."))
    }
    problem = mismatch(classifier.head.state_dict(), head)
    if problem:
        raise WeightsUnavailableError(
            f"contains another head ({problem})", source=cached_file(weights), hint="delete it to download it again"
        )
    classifier.head.load_state_dict(head)
    header = ModelHeader(
        name=name,
        recipe=recipe.model_copy(update={"backbone": recipe.backbone.model_copy(update={"weights": "none"})}),
        labels=labels,
        figures={f"published_{key.replace('acc@', 'top')}": value / 100 for key, value in _published(weights).items()},
    )
    return classifier.requires_grad_(False).eval(), header


def _published(weights: Any) -> dict[str, float]:
    metrics: dict[str, float] = weights.meta["_metrics"]["Kinetics-400"]
    return metrics
