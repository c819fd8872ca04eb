"""Loads pretrained weights by name into backbones.

Only weights that the user named are downloaded: once, to torch's (or the Hugging Face hub's) cache. Their hash is
checked then.
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
from torch import Tensor, nn

from videoclf.errors import WeightsUnavailableError, one_line
from videoclf.modeling.backbones.inflation import inflate_weight
from videoclf.modeling.backbones.weight_check import WEIGHT_DTYPES, mismatch
from videoclf.option_names import option
from videoclf.recipe.backbone import Backbone as BackboneSpec
from videoclf.recipe.backbone_names import backbone_facts
from videoclf.recipe.validation_errors import shortened
from videoclf.zoo import find_model, model_names

_LOADING_ERRORS = (OSError, RuntimeError, ValueError, EOFError, AttributeError, pickle.UnpicklingError, HTTPException)
"""What torch and the hubs raise for networks that fail and for files that are not what they should be."""

_CLASSIFIERS = frozenset({"fc", "classifier", "head", "heads"})
"""How torchvision, timm and we call what comes behind a backbone."""

_PARTS = ("network.", "tail.")
"""Of a backbone; their names are ours, what follows them is torchvision's."""


def load_pretrained(backbone: nn.Module, spec: BackboneSpec) -> None:
    """Fill a backbone with pretrained weights.

    Args:
        backbone: the result of `build_backbone` for a recipe.
        spec: the recipe's section; see its ``weights``. A file is a model file, or has the names of the torchvision
            model or of a part of it; for an ``inflated:`` backbone it contains the 2D network's weights, or inflated
            ones.

    Raises:
        WeightsUnavailableError: there is no network connection, no such file, or shapes differ.
    """
    if spec.weights == "none":
        return
    if spec.weights in {"imagenet", "kinetics400"}:
        fill_backbone(
            backbone, download_weights(spec.name), spec, remedy="delete it from the cache to download it again"
        )
    else:
        fill_backbone(backbone, _read_weights_file(spec.weights), spec, remedy="use another file")


def fill_backbone(backbone: nn.Module, tensors: dict[str, Tensor], spec: BackboneSpec, *, remedy: str) -> None:
    """Fill a backbone with weights under our names, torchvision's or timm's.

    Args:
        backbone: the backbone whose weights are replaced.
        tensors: weights by name; those of a classifier are ignored.
        spec: names backbone and weights in messages.
        remedy: what to do if they do not fit, for the message.

    Raises:
        WeightsUnavailableError: they belong to another network.
    """
    weights = backbone.state_dict()
    place_of = {_without_part(place): place for place in weights}
    wanted = {name: weights[place] for name, place in place_of.items()}
    # counts of batches are dropped by some exporters; nothing reads them where momentum is fixed
    found = {name: tensor for name, tensor in wanted.items() if name.endswith("num_batches_tracked")}
    keys: dict[str, str] = {}
    for key, tensor in tensors.items():
        name = _find(key, wanted)
        if name is not None:
            if keys.setdefault(name, key) != key:
                raise WeightsUnavailableError(
                    f"has two tensors for {name} of {spec.name}, {shortened(keys[name])} and {shortened(key)}",
                    source=spec.weights,
                    hint=f"remove the wrong ones, or {remedy}",
                )
            is_inflatable = tensor.dtype in WEIGHT_DTYPES  # others torch may not calculate with; they are refused below
            found[name] = inflate_weight(tensor, wanted[name]) if is_inflatable else tensor
    extra = next((key for key in tensors if key not in keys.values() and _is_of_a_network(key, wanted)), None)
    problem = mismatch(wanted, found) or (f"{shortened(extra)} is not part of it" if extra else "")
    if problem:
        raise WeightsUnavailableError(
            f"does not contain the weights of {spec.name} ({problem})", source=spec.weights, hint=f"{remedy}"
        )
    backbone.load_state_dict({place_of[name]: tensor for name, tensor in found.items()})


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


def download_weights(name: str) -> dict[str, Tensor]:
    """torchvision's or timm's weights of a backbone, from their cache or otherwise from the hub."""
    facts = backbone_facts(name)
    if facts.source == "timm":
        return _download_timm(facts.network)
    weights: Any = torchvision.models.get_model_weights(facts.network).DEFAULT
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch tells there what it downloads: it is no result
            tensors: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except _LOADING_ERRORS as error:
        if cached_file(weights).is_file():
            raise WeightsUnavailableError(
                f"is damaged ({_describe(error)})", source=cached_file(weights), hint="delete it to download it again"
            ) from error
        raise WeightsUnavailableError(
            f"cannot be downloaded ({_describe(error)})",
            source=weights.url,
            hint="download it on a machine with a network connection, and either put it into torch's cache here, or "
            f"convert it and use {option('set', 'backbone.weights=FILE.safetensors')} (docs/recipes.md shows both)",
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise WeightsUnavailableError(
            "contains no weights", source=cached_file(weights), hint="delete it to download it again"
        )
    return tensors


def cached_file(weights: Any) -> Path:
    """The path of a file that torch downloaded."""
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
        raise WeightsUnavailableError(
            f"its weights cannot be downloaded ({_describe(error)})",
            source=f"timm:{name}",
            hint="download them on a machine with a network connection and use "
            f"{option('set', 'backbone.weights=FILE.safetensors')}",
        ) from error
    return tensors


def _read_weights_file(weights: str) -> dict[str, Tensor]:
    path = find_model(weights) if weights in model_names() else Path(weights)
    if not path.is_file():
        raise WeightsUnavailableError(
            "no such file",
            source=f"backbone.weights = {weights!r}",
            hint=f"allowed are none, imagenet, kinetics400, a shipped model ({', '.join(model_names())}) or a "
            ".safetensors file",
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailableError(
            f"is not a safetensors file, or is cut short ({one_line(error)})",
            source=path,
            hint="download or copy it again",
        ) from error
