"""Reads the results that `train`, `evaluate` and `crossval` write."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from videoclf.errors import ResultsInvalidError, counted, one_line
from videoclf.evaluation.cross_validated import ClipScores, CrossvalMetrics
from videoclf.evaluation.metrics import Metrics
from videoclf.inference.prediction import LabelScore
from videoclf.option_names import option
from videoclf.recipe.renamed import Renamed
from videoclf.recipe.validation_errors import describe_validation

UNKNOWN_DATA = "unknown data"
"""For files of versions that did not record the dataset."""


def holds_run(folder: Path) -> bool:
    """Whether the folder contains a training run, or at least its model."""
    return any((folder / name).exists() for name in ("split.json", "model.safetensors"))


@dataclass
class ClipRecord:
    """The predictions of a run for one clip."""

    group: str | None
    """None if it is unknown: only cross-validations record it."""
    were_correct: list[bool] = field(default_factory=list)
    """Whether the prediction was correct, for each seed."""

    @property
    def share_correct(self) -> float:
        """The share of seeds whose prediction was correct."""
        return sum(self.were_correct) / len(self.were_correct)


@dataclass(frozen=True, repr=False)
class Result:
    """The results in one folder."""

    folder: str
    """As it was given."""
    evaluated_on: str
    """The dataset, and which part of it."""
    metrics: Metrics
    """For a cross-validation, of all seeds together."""
    recipe: dict[str, Any]
    """Values by ``section.key``; empty if the folder contains no recipe."""
    clips: dict[str, ClipRecord]
    """By absolute path; empty if the folder contains no predictions, or no true labels."""

    def __repr__(self) -> str:
        return f"Result({self.folder}: top-1 {self.metrics.top1:.3f} of {self.metrics.num_clips} clips)"


class _Split(BaseModel):
    spec: str | None = None


class _RunMetrics(Metrics):
    """``metrics.json`` of `train` and `evaluate`; keys of later versions may be missing."""

    format_version: Literal[1] = 1
    data: str = UNKNOWN_DATA
    evaluated_on: Literal["test", "validation", "training", "all"] = Field("all", alias="judged_on")
    split: _Split = _Split()

    def describe(self) -> str:
        """The dataset, and which part of it."""
        part = "all clips" if self.evaluated_on == "all" else f"{self.evaluated_on} of {self.split.spec}"
        known = f", {self.num_trained_on} of them trained on" if self.num_trained_on else ""
        return f"{self.data}, {part}{known}"


class _ClipPrediction(BaseModel):
    """A line of ``predictions.jsonl`` of `train` and `evaluate`."""

    source: str
    truth: tuple[str, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    """Empty for a clip that could not be read."""


def read_result(folder: str | Path) -> Result:
    """Read the results in a folder.

    Raises:
        ResultsInvalidError: no results, or files that are truncated, of another program or newer.
    """
    path = Path(folder)
    tree = _read_metrics(path / "metrics.json")
    recipe = _read_recipe(path / "recipe.toml")
    try:
        if "pooled" in tree:
            folds = CrossvalMetrics.model_validate(tree)
            by = f" by {folds.by}" if folds.by else ""
            about = [folds.data or UNKNOWN_DATA, f"{folds.num_folds} folds{by}", counted(len(folds.seeds), "seed")]
            evaluated_on = ", ".join([*about, *filter(None, [folds.baseline])])
            return Result(str(folder), evaluated_on, folds.pooled, recipe, _read_clips(path, _parse_fold_line))
        run = _RunMetrics.model_validate(tree)
    except ValidationError as error:
        raise ResultsInvalidError(
            f"was not written by train, evaluate or crossval ({describe_validation(error, Metrics)})",
            source=path / "metrics.json",
            hint="name a folder that one of them wrote",
        ) from error
    return Result(str(folder), run.describe(), run, recipe, _read_clips(path, _parse_line))


def _read_metrics(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        if (path.parent / "crossval.json").exists():
            raise ResultsInvalidError(
                "its cross-validation is not finished",
                source=path.parent,
                hint="run the same crossval command again to continue it",
            ) from error
        raise ResultsInvalidError(
            "contains no metrics.json",
            source=path.parent,
            hint=f"name a folder written by train, evaluate {option('out')} or crossval",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsInvalidError(
            f"cannot be read as JSON ({one_line(error)})", source=path, hint="write it again"
        ) from error
    if not isinstance(tree, dict):
        raise ResultsInvalidError(
            "was not written by train, evaluate or crossval", source=path, hint="name a folder that one of them wrote"
        )
    return tree


def _read_recipe(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsInvalidError(
            f"is not TOML ({one_line(error)})", source=path, hint="correct or remove it"
        ) from error
    tree.pop("description", None)
    return dict(_flattened(_under_todays_names(tree, path)))


def _under_todays_names(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    """Runs of older versions are compared with newer ones key by key."""
    try:
        return Renamed().under_todays_names(tree)
    except ValueError as error:
        raise ResultsInvalidError(str(error), source=path, hint="put it right or remove it") from error


def _flattened(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


_Parsed = tuple[str, str | None, bool]
"""The source, its group, and whether the prediction is correct."""


def _read_clips(folder: Path, parse: Callable[[object], _Parsed | None]) -> dict[str, ClipRecord]:
    path = folder / "predictions.jsonl"
    clips: dict[str, ClipRecord] = {}
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ResultsInvalidError(
            f"cannot be read ({error.strerror})", source=path, hint="check its permissions"
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            parsed = parse(json.loads(line))  # pydantic's own parser refuses names that are no UTF-8
        except (ValueError, RecursionError) as error:
            model = _ClipPrediction
            cause = describe_validation(error, model) if isinstance(error, ValidationError) else one_line(error)
            raise ResultsInvalidError(
                f"was not written by train, evaluate or crossval ({cause})",
                source=f"{path}, line {number}",
                hint="remove the file, or write it again",
            ) from error
        if parsed is not None:
            source, group, is_correct = parsed
            clips.setdefault(str(Path(source).absolute()), ClipRecord(group)).were_correct.append(is_correct)
    return clips


def _parse_line(line: object) -> _Parsed | None:
    """None if there is no prediction or, in files of older versions, no true label."""
    clip = _ClipPrediction.model_validate(line)
    if not clip.labels or not clip.truth:
        return None
    return clip.source, None, clip.labels[0].label in clip.truth


def _parse_fold_line(line: object) -> _Parsed | None:
    """None for a clip whose class was excluded from training."""
    clip = ClipScores.model_validate(line)
    return (clip.source, clip.group, clip.is_correct) if clip.is_known else None
