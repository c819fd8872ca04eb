"""The header of a model file: one JSON value in the metadata of a ``.safetensors`` file.

It is untrusted data. It is read without torch, its version before anything else, and every field is bounded. The
tensors are not read here.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open

from videoclf.errors import UNPRINTABLE, ModelFileInvalidError, one_line
from videoclf.option_names import option
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.training import Objective
from videoclf.recipe.validation_errors import describe_validation, shortened

FORMAT_VERSION: Literal[3] = 3
"""2: keys of the recipe have other names than in 1. 3: the recipe has a section for the head. All are read."""
METADATA_KEY = "videoclf"


class Calibration(BaseModel):
    """Calibrates scores; both values are chosen on validation clips."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    temperature: float = Field(1.0, ge=0.01, le=100)
    """Logits are divided by it before the softmax or the sigmoid."""

    threshold: float = Field(0.0, ge=0, le=1)
    """A prediction whose best score is below it is uncertain."""


class ModelHeader(BaseModel):
    """Everything in a model file except its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[3] = FORMAT_VERSION
    name: str = Field(min_length=1, max_length=200)
    """The model's name in predictions."""

    recipe: Recipe
    labels: tuple[str, ...] = Field(min_length=2, max_length=100_000)
    """Class names, in the order of the logits."""

    calibration: Calibration = Calibration()
    precision: Literal["float32", "float16"] = "float32"
    """The data type of the stored weights; a CPU computes in float32."""

    figures: dict[str, float] = Field(default={}, max_length=1000)
    """Figures that were measured for the model, such as ``test_top1``."""

    @property
    def objective(self) -> Objective:
        """Whether scores add up to 1 (``softmax``) or are independent for each label (``sigmoid``); softmax in older
        files."""
        return self.recipe.training.objective

    @model_validator(mode="after")
    def _names_can_be_told_apart_and_printed(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("two labels are the same")
        for text in (self.name, *self.labels, *self.figures):
            if (
                not text
                or len(text) > 500
                or any(c in UNPRINTABLE or unicodedata.category(c) in UNPRINTABLE for c in text)
            ):
                raise ValueError(
                    f"the name {shortened(text)} is empty, longer than 500 characters, or cannot be printed"
                )
        return self

    def to_metadata(self) -> dict[str, str]:
        """The metadata that safetensors stores beside the weights."""
        return {METADATA_KEY: self.model_dump_json(exclude_none=True)}


def read_header(path: Path) -> ModelHeader:
    """Read and check the header of a model file. No weights are read, and torch is not imported.

    Raises:
        ModelFileInvalidError: the file is cut short, of another kind or of a newer format, or its header has hostile
            values.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileInvalidError(
            f"is not a model file, or is cut short ({one_line(error)})",
            source=path,
            hint="download or copy it again, or train a model",
        ) from error
    if METADATA_KEY not in metadata:
        raise ModelFileInvalidError(
            "is a safetensors file that contains only weights, not a videoclf model",
            source=path,
            hint=f"to start training from them, use {option('set', f'backbone.weights={path}')}",
        )
    return parse_header(metadata[METADATA_KEY], path)


def parse_header(text: str, path: Path) -> ModelHeader:
    """Check a header given as JSON; the path names the file in messages.

    Raises:
        ModelFileInvalidError: as `read_header`.
    """
    try:
        tree: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileInvalidError(
            f"its header is not JSON ({one_line(error)})", source=path, hint="download or copy the file again"
        ) from error
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ModelFileInvalidError(
            "its header has no format_version", source=path, hint="it was not written by videoclf"
        )
    if version > FORMAT_VERSION:
        raise ModelFileInvalidError(
            f"is written in format {shortened(version)}, but this version reads up to format {FORMAT_VERSION}",
            source=path,
            hint="upgrade with: pip install --upgrade videoclf",
        )
    try:
        return ModelHeader.model_validate({**tree, "format_version": FORMAT_VERSION})
    except ValidationError as error:
        raise ModelFileInvalidError(
            f"its header is refused: {describe_validation(error, ModelHeader)}",
            source=path,
            hint="ask whoever made the file for a valid copy",
        ) from error
