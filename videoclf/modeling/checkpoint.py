"""Weights to and from files: model files of videoclf, and pretrained backbones. Nothing is ever unpickled from a path
that a user or a file names, and nothing is allocated by a number that the file merely claims."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from videoclf.atomic import write_atomically
from videoclf.errors import ModelFileInvalid, WeightsUnavailable, one_line
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.header import ModelHeader, read_header
from videoclf.recipe.recipe import Backbone
from videoclf.zoo import find_model, model_names


def save_model(path: Path, classifier: VideoClassifier, header: ModelHeader) -> None:
    """Write a model file; the old one stays whole until the new one is complete.

    Raises:
        RunFolderUnusable: the disk is full, or the folder cannot be written.
    """
    dtype = torch.float16 if header.precision == "float16" else torch.float32
    weights = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None).contiguous()
        for name, tensor in classifier.state_dict().items()
    }
    write_atomically(path, save(weights, metadata=header.to_metadata()))


def load_model(path: Path) -> tuple[VideoClassifier, ModelHeader]:
    """The network in a model file, in evaluation mode on the CPU, and the file's header.

    Raises:
        ModelFileInvalid: cut short, foreign, newer, or with weights that do not fit its recipe.
    """
    header = read_header(path)
    with torch.device("meta"):  # shapes only: nothing is allocated before the file has shown as many bytes
        classifier = build_classifier(header.recipe, len(header.labels))
    weights = _read_weights(path)
    problem = _mismatch(classifier.state_dict(), weights)
    if problem:
        raise ModelFileInvalid(f"{path}: its weights do not fit its recipe ({problem}); get the file from its maker")
    classifier.to_empty(device="cpu").load_state_dict(weights)
    classifier.requires_grad_(False)
    return classifier.eval(), header


def initialise_from(classifier: VideoClassifier, path: Path) -> ModelHeader:
    """Copy backbone and temporal weights from a model file; the head stays as it is.

    Raises:
        ModelFileInvalid: the file is unusable.
        WeightsUnavailable: it holds a network of other shapes.
    """
    other, header = load_model(path)
    for part in ("backbone", "temporal"):
        mine, theirs = getattr(classifier, part), getattr(other, part)
        problem = _mismatch(mine.state_dict(), theirs.state_dict())
        if problem:
            raise WeightsUnavailable(
                f"{path}: its {part} does not fit the recipe ({problem}); leave --recipe out to take the file's own"
            )
        mine.load_state_dict(theirs.state_dict())
    return header


def load_pretrained(classifier: VideoClassifier, spec: Backbone) -> None:
    """Fill a classifier's backbone with pretrained weights.

    Args:
        classifier: what `build_classifier` gave for a recipe.
        spec: the recipe's section; its ``weights`` are ``none``; ``imagenet`` (torchvision's own, downloaded once to
            torch's cache); the name of a shipped model, whose backbone is taken; or the path of a ``.safetensors``
            file: a model file, or one with the names of the torchvision model or of a part of it.

    Raises:
        WeightsUnavailable: no network, no such file, or other shapes.
    """
    if spec.weights == "none":
        return
    tensors = _download(spec.name) if spec.weights == "imagenet" else _read_weights_file(spec.weights)
    wanted = {name.removeprefix("network."): tensor for name, tensor in classifier.backbone.state_dict().items()}
    # counts of batches are dropped by some exporters; nothing reads them where momentum is fixed
    found = {key: tensor for key, tensor in wanted.items() if key.endswith("num_batches_tracked")}
    for key, tensor in tensors.items():
        place = _place(key, wanted)
        if place is not None:
            found[place] = tensor
    problem = _mismatch(wanted, found)
    if problem:
        raise WeightsUnavailable(
            f"{spec.weights}: does not hold the weights of {spec.name} ({problem}); name another file"
        )
    classifier.backbone.load_state_dict({f"network.{name}": tensor for name, tensor in found.items()})


def _place(key: str, wanted: dict[str, Tensor]) -> str | None:
    """Where a tensor goes by its name in a model file of ours or in torchvision's (where MobileNetV2's ``features.``
    is our Sequential's ``0.``); classifiers go nowhere."""
    for candidate in (key, key.removeprefix("backbone.network."), f"0.{key.removeprefix('features.')}"):
        if candidate in wanted:
            return candidate
    return None


def _download(name: str) -> dict[str, Tensor]:
    if name == "tiny":
        raise WeightsUnavailable("backbone.weights = imagenet: there are none for the backbone 'tiny'; use none")
    weights: Any = torchvision.models.get_model_weights(name).DEFAULT
    try:
        tensors: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"{weights.url}: cannot be downloaded ({one_line(error)}); fetch it where there is a network, convert it "
            "(docs/recipes.md shows how) and use --set backbone.weights=FILE.safetensors"
        ) from error
    return tensors


def _read_weights_file(weights: str) -> dict[str, Tensor]:
    path = find_model(weights) if weights in model_names() else Path(weights)
    if not path.is_file():
        raise WeightsUnavailable(
            f"backbone.weights = {weights!r}: no such file; allowed are none, imagenet, a shipped model "
            f"({', '.join(model_names())}) or a .safetensors file"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnavailable(
            f"{path}: is no safetensors file, or one cut short ({one_line(error)}); get it again"
        ) from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFileInvalid(f"{path}: cut short ({one_line(error)}); copy it again") from error


def _mismatch(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """The first way in which two sets of weights differ in names or shapes; empty where they agree."""
    for name, tensor in wanted.items():
        if name not in given:
            return f"{name} is missing"
        if given[name].shape != tensor.shape:
            return f"{name} is {_shape(given[name])} instead of {_shape(tensor)}"
        if given[name].is_floating_point() != tensor.is_floating_point():
            return f"{name} is {given[name].dtype} instead of {tensor.dtype}"
        if not given[name].isfinite().all():
            return f"{name} holds values that are no numbers"
    extra = next((name for name in given if name not in wanted), None)
    return f"{extra} is not part of the network" if extra else ""


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
