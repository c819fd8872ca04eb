"""Finds the project's data folders, ``models/`` and ``datasets/``, wherever videoclf runs from.

In a wheel they lie inside the package as ``_models`` and ``_datasets`` (setup.cfg); in a checkout and in an editable
install they lie beside the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videoclf.errors import ModelFileInvalidError, RecipeInvalidError

DEFAULT_MODEL_NAME = "actions16"
EVERYDAY_MODEL_NAME = "kinetics400-s3d"
"""The most accurate (as published) and smallest downloadable model: recommended if the default one is uncertain."""

DEFAULT_RECIPE_NAME = "mobilenet_v2-gru"

_PACKAGE = Path(__file__).parent


def _data_folder(name: str) -> Path:
    installed = _PACKAGE / f"_{name}"
    return installed if installed.is_dir() else _PACKAGE.parent / name


def models_folder() -> Path:
    """The folder of the model zoo: recipes (``NAME.toml``), cards (``NAME.md``), weights (``NAME.safetensors``)."""
    return _data_folder("models")


def datasets_folder() -> Path:
    """The folder of the sample clip and the manifests of public datasets (``NAME.toml``)."""
    return _data_folder("datasets")


def sample_clip() -> Path:
    """The short real clip that ``make demo`` classifies."""
    return datasets_folder() / "sample.avi"


def recipe_names() -> list[str]:
    """The names of all recipes in the zoo, sorted."""
    return sorted(path.stem for path in models_folder().glob("*.toml"))


def model_names() -> list[str]:
    """The names of the models with shipped weights, sorted."""
    return sorted(path.stem for path in models_folder().glob("*.safetensors"))


def downloadable_names() -> list[str]:
    """The names of the models with torchvision's weights, which are downloaded once, sorted."""
    return [name for name in recipe_names() if name.startswith("kinetics400-")]


def measured() -> dict[str, dict[str, Any]]:
    """Measurements of each recipe's network by benchmarks/zoo.py: ``num_parameters``, ``size_bytes`` (of a model file),
    ``gflops`` and ``network_ms`` for a clip of 16 frames; by recipe name."""
    figures: dict[str, dict[str, Any]] = json.loads(_measured_json())["models"]
    return figures


def measured_how() -> dict[str, str]:
    """How the measurements were made: command, machine, versions, date."""
    how: dict[str, str] = json.loads(_measured_json())["how"]
    return how


def _measured_json() -> str:
    return (models_folder() / "measured.json").read_text(encoding="utf-8")


def find_recipe(name_or_path: str | Path) -> Path:
    """The recipe file for a name in the zoo (``tiny``) or a path (``mine.toml``).

    Raises:
        RecipeInvalidError: neither a name in the zoo nor a file.
    """
    in_zoo = models_folder() / f"{name_or_path}.toml"
    if str(name_or_path) in recipe_names():
        return in_zoo
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise RecipeInvalidError(
        f"it is neither a file nor one of {', '.join(recipe_names())}", source=f"no recipe {str(name_or_path)!r}"
    )


def find_model(name_or_path: str | Path | None) -> Path:
    """The model file for a name in the zoo, a path, or None (the embedded default).

    Raises:
        ModelFileInvalidError: neither the name of a shipped model nor a file.
    """
    name = DEFAULT_MODEL_NAME if name_or_path is None else str(name_or_path)
    if name in model_names():
        return models_folder() / f"{name}.safetensors"
    path = Path(name)
    if path.is_dir() and (path / "model.safetensors").is_file():
        return path / "model.safetensors"
    if path.is_file():
        return path
    if (path / "crossval.json").is_file():
        raise ModelFileInvalidError(
            "is a cross-validation, which contains no model", source=path, hint="train one: videoclf train"
        )
    if path.is_dir():
        raise ModelFileInvalidError(
            "contains no model.safetensors",
            source=path,
            hint="a run interrupted in its first epoch has none; train again",
        )
    named = f"shipped: {', '.join(model_names()) or 'none'}; downloaded once: {', '.join(downloadable_names())}"
    if name in recipe_names():
        raise ModelFileInvalidError(
            "is a recipe without shipped weights",
            source=f"model {name!r}",
            hint=f"train it (videoclf train DATA --recipe {name} --out RUN), or name a model file or a model ({named})",
        )
    raise ModelFileInvalidError(
        f"it is neither a file, a run's folder, nor the name of a model ({named})", source=f"no model {name!r}"
    )
