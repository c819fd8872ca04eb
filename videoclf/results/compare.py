"""Runs side by side; and, where two judged the same clips, how sure the difference between them is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from videoclf.errors import UsageInvalidError
from videoclf.evaluation.bootstrap import Interval, resampled_sums
from videoclf.results.reader import Result, read_result


class ComparedRun(BaseModel):
    """One run; its figures are those of `Metrics`, of a cross-validation those of all seeds together."""

    model_config = ConfigDict(frozen=True)

    run: str
    """Its folder, as it was given."""
    judged_on: str
    """The data, and which part of them."""
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
    """The keys (``section.key``) in which the runs differ; one that is missing has no value here, or is of a run that
    keeps no recipe."""


class PairedDifference(BaseModel):
    """Two runs on the clips that both judged. The interval resamples these clips (in whole groups, where one of the
    runs keeps them): where it does not hold 0, the clips alone do not explain the difference. Seeds it knows only as
    far as the runs had several."""

    model_config = ConfigDict(frozen=True)

    first: int
    """Number of a run, counted from 1."""
    second: int
    num_clips: int
    difference: float
    """Top-1 of the second minus that of the first."""
    interval: Interval
    num_only_first: int
    """Clips that only the first got right (with several seeds: more often than the second)."""
    num_only_second: int


class Comparison(BaseModel):
    """Runs in the order they were named."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    runs: tuple[ComparedRun, ...]
    pairs: tuple[PairedDifference, ...]
    """Every two runs that share clips."""
    warnings: tuple[str, ...] = ()
    """A line for each two runs that were not tested on the same clips."""

    @property
    def differing_keys(self) -> list[str]:
        """Of the recipes, sorted."""
        return sorted({key for run in self.runs for key in run.recipe})


def compare(runs: Sequence[str | Path]) -> Comparison:
    """Put the results of several runs side by side.

    Args:
        runs: folders that `train`, `evaluate` (with ``out``) or `crossval` left, two at least.

    Raises:
        UsageInvalidError: fewer than two runs.
        ResultsInvalidError: a folder without figures, or with files that are cut short, foreign or newer.
    """
    if len(runs) < 2:
        raise UsageInvalidError(
            "needs two runs at least", source=f"compare {' '.join(map(str, runs))}", hint="name another folder"
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
    """Each run against the first one: a line for those that were tested on others."""
    warnings = []
    first = results[0]
    for number, other in enumerate(results[1:], 2):
        shared = first.clips.keys() & other.clips.keys()
        if first.clips and other.clips and first.clips.keys() == other.clips.keys():
            continue
        if first.clips and other.clips:
            only = f"{len(shared)} in common, {len(first.clips) - len(shared)} only in 1, "
            only += f"{len(other.clips) - len(shared)} only in {number}"
        elif first.metrics.num_clips != other.metrics.num_clips or first.judged_on != other.judged_on:
            only = f"{first.judged_on}, and {other.judged_on}"
        else:
            continue
        warnings.append(
            f"1 and {number} were tested on different clips ({only}): figures beside each other say little; "
            + ("see the difference on the common ones" if shared else "evaluate both on the same clips")
        )
    return warnings


def _differing_keys(recipes: Sequence[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    return [key for key in keys if any(recipe.get(key) != recipes[0].get(key) for recipe in recipes)]


def _describe(result: Result, keys: Sequence[str]) -> ComparedRun:
    metrics = result.metrics
    return ComparedRun(
        run=result.folder,
        judged_on=result.judged_on,
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
    gains = np.array([b.share_right - a.share_right for _, a, b in shared])
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
