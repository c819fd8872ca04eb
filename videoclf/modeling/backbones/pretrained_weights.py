"""Pretrained weights by name: backbones to start from, and torchvision's Kinetics-400 models whole.

What is downloaded is what the user named, once, to torch's (or the Hugging Face hub's) cache; its hash is checked then.
"""

from __future__ import annotations

import contextlib
import pickle  # for its error only: nothing is unpickled but plain tensors, by torch's weights_only
import sys
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from videoclf.errors import WeightsUnavailable, one_line
from videoclf.modeling.backbones.inflation import inflate_weight
from videoclf.modeling.checkpoint import WEIGHT_DTYPES, load_model, mismatch
from videoclf.modeling.classifier import Backbone, VideoClassifier, build_classifier
from videoclf.recipe.backbone_names import backbone_facts
from videoclf.recipe.header import ModelHeader, read_header
from videoclf.recipe.recipe import Backbone as BackboneSpec
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe
from videoclf.recipe.validation_errors import shortened
from videoclf.zoo import downloadable_names, find_model, find_recipe, model_names

_LOADING_ERRORS = (OSError, RuntimeError, ValueError, EOFError, AttributeError, pickle.UnpicklingError, HTTPException)
"""What torch and the hubs raise for networks that fail and for files that are not what they should be."""

_CLASSIFIERS = frozenset({"fc", "classifier", "head", "heads"})
"""How torchvision, timm and we call what comes behind a backbone."""

_PARTS = ("network.", "tail.")
"""Of a backbone; their names are ours, what follows them is torchvision's."""


def open_model(
    name_or_path: str | Path | None, *, backbone: Backbone | None = None
) -> tuple[VideoClassifier, ModelHeader]:
    """A model by the name of a shipped or downloadable one, by a path, or (None) the default; on the CPU.

    Args:
        name_or_path: as `find_model` takes it, or one of `downloadable_names`.
        backbone: see `load_model`.

    Raises:
        ModelFileInvalid: no such model, or a file that cannot be used.
        WeightsUnavailable: the hub cannot be reached.
    """
    if str(name_or_path) in downloadable_names() and backbone is None:
        return _open_kinetics400(str(name_or_path))
    return load_model(find_model(name_or_path), backbone=backbone)


def recipe_of_model(name_or_path: str | Path | None) -> Recipe:
    """The recipe of what `open_model` would open; no weights are read, or downloaded, for it.

    Raises:
        ModelFileInvalid: no such model, or a file that is none.
    """
    if str(name_or_path) in downloadable_names():
        return load_recipe(find_recipe(str(name_or_path)))
    return read_header(find_model(name_or_path)).recipe


def load_pretrained(classifier: VideoClassifier, spec: BackboneSpec) -> None:
    """Fill a classifier's backbone with pretrained weights.

    Args:
        classifier: what `build_classifier` gave for a recipe.
        spec: the recipe's section; see its ``weights``. A file is a model file, or one with the names of the
            torchvision model or of a part of it; for an ``inflated:`` backbone it holds the 2D network's weights, or
            inflated ones.

    Raises:
        WeightsUnavailable: no network, no such file, or other shapes.
    """
    if spec.weights == "none":
        return
    if spec.weights in {"imagenet", "kinetics400"}:
        _fill(classifier, _download(spec.name), spec, remedy="delete it from the cache to download it anew")
    else:
        _fill(classifier, _read_weights_file(spec.weights), spec, remedy="name another file")


def _fill(classifier: VideoClassifier, tensors: dict[str, Tensor], spec: BackboneSpec, *, remedy: str) -> None:
    weights = classifier.backbone.state_dict()
    place_of = {_without_part(place): place for place in weights}
    wanted = {name: weights[place] for name, place in place_of.items()}
    # counts of batches are dropped by some exporters; nothing reads them where momentum is fixed
    found = {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")}
    keys: dict[str, str] = {}
    for key, tensor in tensors.items():
        name = _find(key, wanted)
        if name is not None:
            if keys.setdefault(name, key) != key:
                raise WeightsUnavailable(
                    f"{spec.weights}: has two tensors for {name} of {spec.name}, {shortened(keys[name])} and "
                    f"{shortened(key)}; remove those that are not meant, or {remedy}"
                )
            is_inflatable = tensor.dtype in WEIGHT_DTYPES  # others torch may not calculate with; they are refused below
            found[name] = inflate_weight(tensor, wanted[name]) if is_inflatable else tensor
    extra = next((key for key in tensors if key not in keys.values() and _is_of_a_network(key, wanted)), None)
    problem = mismatch(wanted, found) or (f"{shortened(extra)} is not part of it" if extra else "")
    if problem:
        raise WeightsUnavailable(f"{spec.weights}: does not hold the weights of {spec.name} ({problem}); {remedy}")
    classifier.backbone.load_state_dict({place_of[name]: tensor for name, tensor in found.items()})


def _without_part(name: str) -> str:
    for part in _PARTS:
        name = name.removeprefix(part)
    return name


def _find(key: str, wanted: dict[str, Tensor]) -> str | None:
    """The name in our network of a tensor of a model file or of torchvision's (where MobileNet's ``features.`` is our
    Sequential's ``0.``); classifiers have none."""
    short = _without_part(key.removeprefix("backbone."))
    for candidate in (key, short, f"0.{key.removeprefix('features.')}", f"features.{key}"):
        if candidate in wanted:
            return candidate
    return None


def _is_of_a_network(key: str, wanted: dict[str, Tensor]) -> bool:
    """Whether a tensor that has no place in ours is a weight of such a network all the same, of a deeper one, say:
    ResNet-34 holds all that ResNet-18 does, but half of one network is none. Classifiers may be anything."""
    short = _without_part(key.removeprefix("backbone."))
    top = "0" if short.startswith("features.") else short.partition(".")[0]
    is_a_weight = key.endswith((".weight", ".bias"))  # of older timm's files, some hold tables, too
    return is_a_weight and top not in _CLASSIFIERS and any(name.startswith(f"{top}.") for name in wanted)


def _open_kinetics400(name: str) -> tuple[VideoClassifier, ModelHeader]:
    """torchvision's network with its own head: classes and weights as they were trained."""
    recipe = load_recipe(find_recipe(name))
    weights: Any = torchvision.models.get_model_weights(recipe.backbone.name).DEFAULT
    labels = tuple(weights.meta["categories"])
    classifier = build_classifier(recipe, len(labels))
    tensors = _download(recipe.backbone.name)
    _fill(classifier, tensors, recipe.backbone, remedy=f"delete {_cached_file(weights)} to download it anew")
    head = {
        f"1.{key.rpartition('.')[2]}": tensor.flatten(1) if tensor.ndim > 1 else tensor  # S3D's is a 1×1×1 convolution
        for key, tensor in tensors.items()
        if key.startswith(("fc.", "classifier.1."))
    }
    problem = mismatch(classifier.head.state_dict(), head)
    if problem:
        raise WeightsUnavailable(f"{_cached_file(weights)}: holds another head ({problem}); delete it to download anew")
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


def _download(name: str) -> dict[str, Tensor]:
    """torchvision's or timm's own weights of that backbone, from their cache or else from the hub."""
    facts = backbone_facts(name)
    if facts.source == "timm":
        return _download_timm(facts.network)
    weights: Any = torchvision.models.get_model_weights(facts.network).DEFAULT
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch tells there what it downloads: it is no result
            tensors: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except _LOADING_ERRORS as error:
        if _cached_file(weights).is_file():
            raise WeightsUnavailable(
                f"{_cached_file(weights)}: is damaged ({_describe(error)}); delete it to download it anew"
            ) from error
        raise WeightsUnavailable(
            f"{weights.url}: cannot be downloaded ({_describe(error)}); where there is a network, fetch it and either "
            "put it into torch's cache here, or convert it and use --set backbone.weights=FILE.safetensors "
            "(docs/recipes.md shows both)"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise WeightsUnavailable(f"{_cached_file(weights)}: holds no weights; delete it to download it anew")
    return tensors


def _cached_file(weights: Any) -> Path:
    """Where torch keeps what it downloaded."""
    name: str = weights.url.rpartition("/")[2]
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def _describe(error: Exception) -> str:
    """The first sentence: what follows, torch's advice to unpickle anything, is not ours to pass on."""
    return one_line(error).partition(". ")[0][:200] or type(error).__name__


def _download_timm(name: str) -> dict[str, Tensor]:
    import timm

    try:
        with contextlib.redirect_stdout(sys.stderr):
            tensors: dict[str, Tensor] = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except _LOADING_ERRORS as error:
        raise WeightsUnavailable(
            f"timm:{name}: its weights cannot be downloaded ({_describe(error)}); fetch them where there is a network "
            "and use --set backbone.weights=FILE.safetensors"
        ) from error
    return tensors


def _read_weights_file(weights: str) -> dict[str, Tensor]:
    path = find_model(weights) if weights in model_names() else Path(weights)
    if not path.is_file():
        raise WeightsUnavailable(
            f"backbone.weights = {weights!r}: no such file; allowed are none, imagenet, kinetics400, a shipped model "
            f"({', '.join(model_names())}) or a .safetensors file"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailable(
            f"{path}: is no safetensors file, or one cut short ({one_line(error)}); get it again"
        ) from error
