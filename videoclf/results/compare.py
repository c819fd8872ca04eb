"""Compares runs, and runs that were evaluated on the same clips also clip by clip."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from videoclf.errors import UsageInvalidError
from videoclf.evaluation.bootstrap import Interval, resampled_sums
from videoclf.results.reader import Result, read_result


class ComparedRun(BaseModel):
    """One run with its metrics, as in `Metrics`; of a cross-validation, with all seeds together."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    run: str
    """Its folder, as it was given."""
    evaluated_on: str = Field(alias="judged_on")
    """The dataset, and which part of it."""
    num_clips: int
    num_failed: int
    top1: float
    top1_interval: Interval | None
    top5: float
    mean_class_accuracy: float
    mean_class_accuracy_interval: Interval | None
    ece: float
    nll: float
    recipe: dict[str, Any]
    """The recipe keys (``section.key``) in which the runs differ. A key is missing if this run's recipe has no value
    for it, or if its folder contains no recipe."""

    @property
    def judged_on(self) -> str:
        """The old name of `evaluated_on`."""
        return self.evaluated_on


class PairedDifference(BaseModel):
    """The difference of two runs on the clips that both were evaluated on.

    The interval resamples these clips (in whole groups, if one of the runs records them). If it does not contain 0, the
    choice of clips alone does not explain the difference. It covers different seeds only if the runs had several.
    """

    model_config = ConfigDict(frozen=True)

    first: int
    """The number of a run, counted from 1."""
    second: int
    num_clips: int
    difference: float
    """Top-1 of the second run minus top-1 of the first."""
    interval: Interval
    num_only_first: int
    """Clips that only the first run classified correctly (with several seeds: more often than the second)."""
    num_only_second: int


class Comparison(BaseModel):
    """Several runs, in the order in which they were given."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    runs: tuple[ComparedRun, ...]
    pairs: tuple[PairedDifference, ...]
    """One for each two runs with clips in common."""
    warnings: tuple[str, ...] = ()
    """One for each run that was not tested on the same clips as the first."""

    @property
    def differing_keys(self) -> list[str]:
        """The recipe keys in which the runs differ, sorted."""
        return sorted({key for run in self.runs for key in run.recipe})


def compare(runs: Sequence[str | Path]) -> Comparison:
    """Compare the results of several runs.

    Args:
        runs: at least two folders written by `train`, `evaluate` (with ``out``) or `crossval`.

    Raises:
        UsageInvalidError: fewer than two runs.
        ResultsInvalidError: a folder without results, or with files that are truncated, of another program or newer.
    """
    if len(runs) < 2:
        raise UsageInvalidError(
            "needs at least two runs", source=f"compare {' '.join(map(str, runs))}", hint="name another folder"
        )
    results = [read_result(run) for run in runs]
    keys = _differing_keys([result.recipe for result in results if result.recipe])
    pairs = [_pair(i, j, results[i - 1], results[j - 1]) for i, j in combinations(range(1, len(results) + 1), 2)]
    return Comparison(
        runs=tuple(_describe(result, keys) for result in results),
        pairs=tuple(pair for pair in pairs if pair),
        warnings=tuple(_warn_of_other_clips(results)),
    )


def _warn_of_other_clips(results: Sequence[Result]) -> list[str]:
    """A warning for each run that was not tested on the clips of the first one."""
    warnings = []
    first = results[0]
    for number, other in enumerate(results[1:], 2):
        shared = first.clips.keys() & other.clips.keys()
        if first.clips and other.clips and first.clips.keys() == other.clips.keys():
            continue
        if first.clips and other.clips:
            only = f"{len(shared)} in common, {len(first.clips) - len(shared)} only in 1, "
            only += f"{len(other.clips) - len(shared)} only in {number}"
        elif first.metrics.num_clips != other.metrics.num_clips or first.evaluated_on != other.evaluated_on:
            only = f"{first.evaluated_on}; {other.evaluated_on}"
        else:
            continue
        warnings.append(
            f"1 and {number} were tested on different clips ({only}), so their figures are not comparable; "
            + ("see the difference on the common clips" if shared else "evaluate both on the same clips")
        )
    return warnings


def _differing_keys(recipes: Sequence[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    return [key for key in keys if any(recipe.get(key) != recipes[0].get(key) for recipe in recipes)]


def _describe(result: Result, keys: Sequence[str]) -> ComparedRun:
    metrics = result.metrics
    return ComparedRun(
        run=result.folder,
        evaluated_on=result.evaluated_on,
        num_clips=metrics.num_clips,
        num_failed=metrics.num_failed,
        top1=metrics.top1,
        top1_interval=metrics.top1_interval,
        top5=metrics.top5,
        mean_class_accuracy=metrics.mean_class_accuracy,
        mean_class_accuracy_interval=metrics.mean_class_accuracy_interval,
        ece=metrics.ece,
        nll=metrics.nll,
        recipe={key: result.recipe[key] for key in keys if key in result.recipe},
    )


def _pair(first_number: int, second_number: int, first: Result, second: Result) -> PairedDifference | None:
    shared = [(source, first.clips[source], second.clips[source]) for source in first.clips if source in second.clips]
    if not shared:
        return None
    gains = np.array([b.share_correct - a.share_correct for _, a, b in shared])
    units = [a.group or b.group or source for source, a, b in shared]
    sums = resampled_sums(np.column_stack([gains, np.ones_like(gains)]), units)
    return PairedDifference(
        first=first_number,
        second=second_number,
        num_clips=len(shared),
        difference=float(gains.mean()),
        interval=Interval.of(sums[:, 0] / sums[:, 1]),
        num_only_first=int((gains < 0).sum()),
        num_only_second=int((gains > 0).sum()),
    )
