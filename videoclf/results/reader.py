"""What `train`, `evaluate` and `crossval` left in a folder, read back."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from videoclf.errors import ResultsInvalidError, counted, one_line
from videoclf.evaluation.cross_validated import ClipScores, CrossvalMetrics
from videoclf.evaluation.metrics import Metrics
from videoclf.inference.prediction import LabelScore
from videoclf.option_names import option
from videoclf.recipe.renamed import Renamed
from videoclf.recipe.validation_errors import describe_validation

UNKNOWN_DATA = "unknown data"
"""Of what was written before the data were named."""


def holds_run(folder: Path) -> bool:
    """Whether a training has begun there, or only its model was left."""
    return any((folder / name).exists() for name in ("split.json", "model.safetensors"))


@dataclass
class ClipRecord:
    """What a run said of one clip."""

    group: str | None
    """None where it is not known: only a cross-validation keeps it."""
    were_right: list[bool] = field(default_factory=list)
    """Once a seed."""

    @property
    def share_right(self) -> float:
        """Over the seeds."""
        return sum(self.were_right) / len(self.were_right)


@dataclass(frozen=True, repr=False)
class Result:
    """The figures of one folder."""

    folder: str
    """As it was given."""
    judged_on: str
    """The data, and which part of them."""
    metrics: Metrics
    """Of a cross-validation, of all its seeds together."""
    recipe: dict[str, Any]
    """By ``section.key``; empty where the folder holds none."""
    clips: dict[str, ClipRecord]
    """By absolute path; empty where predictions were not kept, or without the truth."""

    def __repr__(self) -> str:
        return f"Result({self.folder}: top-1 {self.metrics.top1:.3f} of {self.metrics.num_clips} clips)"


class _Split(BaseModel):
    spec: str | None = None


class _RunMetrics(Metrics):
    """``metrics.json`` of `train` and `evaluate`; what came later than the first of them may be missing."""

    format_version: Literal[1] = 1
    data: str = UNKNOWN_DATA
    judged_on: Literal["test", "validation", "training", "all"] = "all"
    split: _Split = _Split()

    def describe(self) -> str:
        """The data, and which part of them."""
        part = "all clips" if self.judged_on == "all" else f"{self.judged_on} of {self.split.spec}"
        known = f", {self.num_trained_on} of them trained on" if self.num_trained_on else ""
        return f"{self.data}, {part}{known}"


class _SaidOfClip(BaseModel):
    """A line of `train` and `evaluate`."""

    source: str
    truth: tuple[str, ...] = ()
    labels: tuple[LabelScore, ...] = ()
    """Empty of a clip that could not be read."""


def read_result(folder: str | Path) -> Result:
    """What a folder holds.

    Raises:
        ResultsInvalidError: no figures, or files that are cut short, foreign or newer.
    """
    path = Path(folder)
    tree = _read_metrics(path / "metrics.json")
    recipe = _read_recipe(path / "recipe.toml")
    try:
        if "pooled" in tree:
            folds = CrossvalMetrics.model_validate(tree)
            by = f" by {folds.by}" if folds.by else ""
            about = [folds.data or UNKNOWN_DATA, f"{folds.num_folds} folds{by}", counted(len(folds.seeds), "seed")]
            judged_on = ", ".join([*about, *filter(None, [folds.baseline])])
            return Result(str(folder), judged_on, folds.pooled, recipe, _read_clips(path, _judged_in_fold))
        run = _RunMetrics.model_validate(tree)
    except ValidationError as error:
        raise ResultsInvalidError(
            f"is not what train, evaluate or crossval writes ({describe_validation(error, Metrics)})",
            source=path / "metrics.json",
            hint="name the folder of one of these",
        ) from error
    return Result(str(folder), run.describe(), run, recipe, _read_clips(path, _judged))


def _read_metrics(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        if (path.parent / "crossval.json").exists():
            raise ResultsInvalidError(
                "its cross-validation is not finished",
                source=path.parent,
                hint="run the same crossval again, it goes on",
            ) from error
        raise ResultsInvalidError(
            "holds no metrics.json",
            source=path.parent,
            hint=f"name the folder of a train, evaluate {option('out')} or crossval",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsInvalidError(
            f"cannot be read as JSON ({one_line(error)})", source=path, hint="make it again"
        ) from error
    if not isinstance(tree, dict):
        raise ResultsInvalidError(
            "is not what train, evaluate or crossval writes", source=path, hint="name the folder of one of these"
        )
    return tree


def _read_recipe(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsInvalidError(
            f"is not TOML ({one_line(error)})", source=path, hint="put it right or remove it"
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


_Judgement = tuple[str, str | None, bool]
"""Source, group, and whether it was right."""


def _read_clips(folder: Path, judge: Callable[[object], _Judgement | None]) -> dict[str, ClipRecord]:
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
            judgement = judge(json.loads(line))  # pydantic's own parser refuses names that are no UTF-8
        except (ValueError, RecursionError) as error:
            cause = describe_validation(error, _SaidOfClip) if isinstance(error, ValidationError) else one_line(error)
            raise ResultsInvalidError(
                f"is not what train, evaluate or crossval writes ({cause})",
                source=f"{path}, line {number}",
                hint="remove the file, or make it again",
            ) from error
        if judgement is not None:
            source, group, is_right = judgement
            clips.setdefault(str(Path(source).absolute()), ClipRecord(group)).were_right.append(is_right)
    return clips


def _judged(line: object) -> _Judgement | None:
    """None where nothing was said, or, in older files, nothing of the truth."""
    said = _SaidOfClip.model_validate(line)
    if not said.labels or not said.truth:
        return None
    return said.source, None, said.labels[0].label in said.truth


def _judged_in_fold(line: object) -> _Judgement | None:
    """None of a clip whose class was kept from training."""
    said = ClipScores.model_validate(line)
    return (said.source, said.group, said.is_right) if said.is_known else None
