"""Writes model files completely, and reads them as data. Nothing is ever unpickled from a path that a user or a file
names, and no memory is allocated for a number that the file merely claims."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from videoclf.errors import ModelFileInvalidError, RecipeInvalidError, WeightsUnavailableError, one_line
from videoclf.files import write_atomically
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.backbones.weight_check import mismatch
from videoclf.modeling.classifier import VideoClassifier, build_classifier, check_input_size
from videoclf.option_names import option
from videoclf.recipe.header import ModelHeader, read_header
from videoclf.recipe.trained_clips import to_metadata


def save_model(
    path: Path, classifier: VideoClassifier, header: ModelHeader, trained_clips: Collection[str] = ()
) -> None:
    """Write a model file. An old one stays intact until the new one is complete.

    Args:
        path: of the file.
        classifier: the network whose weights are written.
        header: everything else that a prediction needs.
        trained_clips: hashes of the clips that it was trained on; see `videoclf.recipe.trained_clips`.

    Raises:
        RunFolderUnusableError: the disk is full, or the folder cannot be written.
    """
    dtype = torch.float16 if header.precision == "float16" else torch.float32
    weights = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None, copy=True).contiguous()
        for name, tensor in classifier.state_dict().items()
    }
    write_atomically(path, _in_order(save(weights, metadata=header.to_metadata() | to_metadata(trained_clips))))


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata sorted by name: safetensors orders several entries anew in every process, and
    files of equal content are known by their bytes."""
    num_header_bytes = int.from_bytes(content[:8], "little")
    tree = json.loads(content[8 : 8 + num_header_bytes])
    tree["__metadata__"] = dict(sorted(tree["__metadata__"].items()))
    header = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8, as the format wants
    return len(header).to_bytes(8, "little") + header + content[8 + num_header_bytes :]


def load_model(path: Path, *, backbone: Backbone | None = None) -> tuple[VideoClassifier, ModelHeader]:
    """Read the network in a model file, in evaluation mode on the CPU, and the file's header.

    Args:
        path: the file.
        backbone: for a model that was trained with a custom backbone: a network with the same architecture, which is
            filled with the file's weights.

    Raises:
        ModelFileInvalidError: the file is cut short, foreign or newer, or its weights do not fit its recipe or the
            backbone.
    """
    header = read_header(path)
    try:
        with torch.device("meta"):  # shapes only: nothing is allocated before the file has shown as many bytes
            classifier = build_classifier(header.recipe, len(header.labels), backbone)
        check_input_size(header.recipe, classifier.backbone)
    except RecipeInvalidError as error:
        raise ModelFileInvalidError(str(error), source=path) from error
    weights = _read_weights(path)
    problem = mismatch(classifier.state_dict(), weights)
    if problem:
        raise ModelFileInvalidError(
            f"its weights do not fit its recipe ({problem})",
            source=path,
            hint="ask whoever made the file for a valid copy",
        )
    if backbone is None and _holds_more_than_weights(classifier.backbone):
        classifier = build_classifier(header.recipe, len(header.labels))  # as large as the file: that was checked
    for part in classifier.children():
        if part is not backbone and any(tensor.is_meta for tensor in part.parameters()):
            part.to_empty(device="cpu")
    classifier.load_state_dict(weights)
    classifier.requires_grad_(False)
    return classifier.eval(), header


def initialise_from(classifier: VideoClassifier, other: VideoClassifier, *, source: str) -> None:
    """Copy another model's backbone and temporal weights. The head is not changed.

    Raises:
        WeightsUnavailableError: the other network has other shapes.
    """
    for part in ("backbone", "temporal"):
        mine, theirs = getattr(classifier, part), getattr(other, part)
        problem = mismatch(mine.state_dict(), theirs.state_dict())
        if problem:
            raise WeightsUnavailableError(
                f"its {part} does not fit the recipe ({problem})",
                source=source,
                hint=f"use the model's own recipe, or take only its backbone: {option('set', 'backbone.weights=...')}",
            )
        mine.load_state_dict(theirs.state_dict())


def _holds_more_than_weights(network: nn.Module) -> bool:
    """Whether it has constants that no file keeps (some of timm's networks compute tables when they are built)."""
    return not {name for name, _ in network.named_buffers()} <= network.state_dict().keys()


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFileInvalidError(
            f"its weights cannot be read ({one_line(error)})", source=path, hint="download or copy the file again"
        ) from error
