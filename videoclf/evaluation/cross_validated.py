"""Pooled out-of-fold predictions of a cross-validation: metrics of each seed, and their spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torchmetrics.functional.classification import binary_auroc

from videoclf.evaluation.clip_results import ClipResult
from videoclf.evaluation.metrics import FailedClip, Metrics, compute_metrics
from videoclf.evaluation.multilabel import compute_multilabel_metrics
from videoclf.evaluation.probe_comparison import ProbeComparison, compare_with_probe
from videoclf.inference.prediction import LabelScore
from videoclf.recipe.training import Objective

FORMAT_VERSION: Literal[1] = 1


class ClipScores(BaseModel):
    """The prediction of one clip in the fold that did not train on it: a line of ``predictions.jsonl``."""

    model_config = ConfigDict(
        frozen=True, populate_by_name=True, serialize_by_alias=True, extra="forbid", allow_inf_nan=False
    )

    format_version: Literal[1] = FORMAT_VERSION
    source: str
    label: str
    """The true label, as in the dataset."""
    truth: tuple[str, ...] = ()
    """The true label; with several labels a clip, each of them. (Empty in files of versions without them.)"""
    group: str | None
    fold: str
    seed: int
    is_known: bool
    """Whether its class was trained on."""
    predicted: str = Field(alias="called")
    """The most probable class or label."""
    score: float = Field(ge=0, le=1)
    """Its calibrated probability."""
    uncertain: bool
    """Whether the score is below the fold's threshold."""
    scores: tuple[float, ...]
    """Calibrated probabilities, in the order of the labels in ``metrics.json``."""
    uncalibrated_scores: tuple[float, ...]
    """The same at temperature 1."""
    probe_predicted: str | None = None
    """The class that a linear probe on the same features predicts; None if there is none (or in files of versions
    without it)."""

    @property
    def truths(self) -> tuple[str, ...]:
        """Its true labels."""
        return self.truth or (self.label,)

    @property
    def is_correct(self) -> bool:
        """Whether the most probable label is true."""
        return self.predicted in self.truths

    @property
    def called(self) -> str:
        """The old name of `predicted`."""
        return self.predicted


class FoldRecord(BaseModel):
    """One fold with one seed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format_version: Literal[1] = FORMAT_VERSION
    fold: str
    seed: int
    num_train: int
    num_validation: int
    validation_top1: float
    """Of the chosen weights; with a refit, of those chosen before it."""
    validation_nll: float
    kept_epoch: int
    """0 for a baseline without epochs."""
    temperature: float
    threshold: float
    seconds: float
    clips: tuple[ClipScores, ...]
    failed: tuple[FailedClip, ...]
    features: str = ""
    """The features that were chosen on the training side; empty if there was no choice."""

    @property
    def known(self) -> list[ClipScores]:
        """The clips of classes that were trained on."""
        return [clip for clip in self.clips if clip.is_known]

    @property
    def num_correct(self) -> int:
        """The number of known clips that are correct."""
        return sum(clip.is_correct for clip in self.known)

    @property
    def num_right(self) -> int:
        """The old name of `num_correct`."""
        return self.num_correct


class Spread(BaseModel):
    """A metric over several seeds, or over folds."""

    model_config = ConfigDict(frozen=True)

    mean: float
    deviation: float
    """Sample standard deviation (n - 1); 0 for a single value."""
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Mean and standard deviation of at least one value."""
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        return cls(mean=float(np.mean(values)), deviation=deviation, values=tuple(values))

    def __str__(self) -> str:
        spread = f" ± {self.deviation:.3f}" if len(self.values) > 1 else ""
        return f"{self.mean:.3f}{spread}"


class Rejection(BaseModel):
    """How well known clips are distinguished from clips of classes that were excluded from training."""

    model_config = ConfigDict(frozen=True)

    num_unknown: int
    """Clips of unknown classes for each seed."""
    auroc: Spread
    """Probability that a known clip has a higher best score than an unknown one; over seeds."""
    accepted_unknown: Spread
    """The share of unknown clips whose score reaches their fold's threshold."""


class CrossvalMetrics(BaseModel):
    """The metrics of a cross-validation, as in ``metrics.json``. Unless stated otherwise, spreads are over seeds, each
    pooled over all folds."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    data: str = ""
    """The folder or list, as it was given; empty in files of versions that did not record it."""
    by: str = ""
    """How the folds were made; empty in files of versions that did not record it."""
    baseline: str | None = None
    """The baseline that was evaluated instead of the network, if any."""
    num_folds: int
    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    """The classes that were trained on."""
    top1: Spread
    mean_class_accuracy: Spread
    mean_average_precision: Spread | None = None
    """With several labels a clip; see `Metrics`."""
    nll: Spread
    nll_uncalibrated: Spread
    ece: Spread
    ece_uncalibrated: Spread
    accepted: Spread
    """The share of known clips that are not uncertain."""
    top1_by_fold: Spread
    """Over the folds in which a clip could be read, with all seeds together."""
    validation_top1: Spread
    """Of the validation parts. Recipes are chosen by this metric."""
    validation_nll: Spread
    rejection: Rejection | None
    linear_probe: ProbeComparison | None = None
    """The network beside a linear probe on the same features, paired over groups; seeds are averaged."""
    pooled: Metrics
    """All seeds and folds together. Its intervals resample whole groups (a clip without a group is resampled with all
    its seeds): clips of one group are similar, so that resampling single clips would make the intervals too narrow."""


def pool(
    records: Sequence[FoldRecord],
    labels: Sequence[str],
    *,
    data: str = "",
    by: str = "",
    baseline: str | None = None,
    objective: Objective = "softmax",
) -> CrossvalMetrics:
    """Compute the metrics of all folds and seeds.

    Args:
        records: one for each fold and seed, at least one in total.
        labels: the classes that were trained on, in the order of the scores.
        data: the dataset, for the record.
        by: how the folds were made, for the record.
        baseline: the baseline that was evaluated instead of the network, for the record.
        objective: of the recipe.
    """
    seeds = sorted({record.seed for record in records})
    folds = sorted({record.fold for record in records})
    known = [record for record in records if record.known]
    folds_known = sorted({record.fold for record in known})
    of_seed = [[record for record in records if record.seed == seed] for seed in seeds]
    calibrated = [_metrics(chosen, labels, objective) for chosen in of_seed]
    uncalibrated = [_metrics(chosen, labels, objective, is_calibrated=False) for chosen in of_seed]
    average_precisions = [m.mean_average_precision for m in calibrated if m.mean_average_precision is not None]
    return CrossvalMetrics(
        data=data,
        by=by,
        baseline=baseline,
        num_folds=len(folds),
        seeds=tuple(seeds),
        labels=tuple(labels),
        top1=Spread.of([metrics.top1 for metrics in calibrated]),
        mean_class_accuracy=Spread.of([metrics.mean_class_accuracy for metrics in calibrated]),
        mean_average_precision=Spread.of(average_precisions) if average_precisions else None,
        nll=Spread.of([metrics.nll for metrics in calibrated]),
        nll_uncalibrated=Spread.of([metrics.nll for metrics in uncalibrated]),
        ece=Spread.of([metrics.ece for metrics in calibrated]),
        ece_uncalibrated=Spread.of([metrics.ece for metrics in uncalibrated]),
        accepted=Spread.of([1 - float(np.mean([c.uncertain for r in chosen for c in r.known])) for chosen in of_seed]),
        top1_by_fold=Spread.of([_accuracy([r for r in known if r.fold == fold]) for fold in folds_known]),
        validation_top1=Spread.of([_weighted(chosen, "validation_top1") for chosen in of_seed]),
        validation_nll=Spread.of([_weighted(chosen, "validation_nll") for chosen in of_seed]),
        rejection=_rejection(of_seed),
        linear_probe=_beside_probe([clip for record in records for clip in record.known]),
        pooled=_metrics(records, labels, objective),
    )


def clip_results(records: Sequence[FoldRecord], labels: Sequence[str]) -> list[ClipResult]:
    """The results of clips whose classes were trained on, one for each seed."""
    return [
        ClipResult(clip.source, clip.truths, _best_two(clip, labels)) for record in records for clip in record.known
    ]


def _best_two(clip: ClipScores, labels: Sequence[str]) -> tuple[LabelScore, ...]:
    best = sorted(zip(labels, clip.scores, strict=True), key=lambda entry: -entry[1])[:2]
    return tuple(LabelScore(label=label, score=min(1.0, score)) for label, score in best)


def _metrics(
    records: Sequence[FoldRecord], labels: Sequence[str], objective: Objective, *, is_calibrated: bool = True
) -> Metrics:
    position = {label: i for i, label in enumerate(labels)}
    clips = [clip for record in records for clip in record.known]
    rows = np.array([clip.scores if is_calibrated else clip.uncalibrated_scores for clip in clips])
    failed = [failure for record in records for failure in record.failed]
    units = [clip.group or clip.source for clip in clips]
    targets = [tuple(position[name] for name in clip.truths) for clip in clips]
    if objective == "sigmoid":
        return compute_multilabel_metrics(rows, targets, labels, failed, units)
    return compute_metrics(rows, [target for (target,) in targets], labels, failed, units)


def _beside_probe(clips: Sequence[ClipScores]) -> ProbeComparison | None:
    if not clips or any(clip.probe_predicted is None for clip in clips):
        return None
    correct: dict[str, list[bool]] = {}
    for clip in clips:
        correct.setdefault(clip.source, []).append(clip.is_correct)
    first = {clip.source: clip for clip in clips}
    return compare_with_probe(
        [float(np.mean(correct[source])) for source in first],
        [clip.probe_predicted in clip.truths for clip in first.values()],
        [clip.group or clip.source for clip in first.values()],
    )


def _accuracy(records: Sequence[FoldRecord]) -> float:
    return sum(record.num_correct for record in records) / sum(len(record.known) for record in records)


def _weighted(records: Sequence[FoldRecord], name: str) -> float:
    """The mean of a metric of the validation parts, weighted by their numbers of clips."""
    values = [getattr(record, name) for record in records]
    return float(np.average(values, weights=[record.num_validation for record in records]))


def _rejection(of_seed: Sequence[Sequence[FoldRecord]]) -> Rejection | None:
    clips = [[clip for record in records for clip in record.clips] for records in of_seed]
    unknown = [[clip for clip in chosen if not clip.is_known] for chosen in clips]
    if not unknown[0]:
        return None
    return Rejection(
        num_unknown=len(unknown[0]),
        auroc=Spread.of([_auroc(chosen) for chosen in clips]),
        accepted_unknown=Spread.of([1 - float(np.mean([clip.uncertain for clip in chosen])) for chosen in unknown]),
    )


def _auroc(clips: Sequence[ClipScores]) -> float:
    scores = torch.tensor([clip.score for clip in clips], dtype=torch.float64)
    return float(binary_auroc(scores, torch.tensor([int(clip.is_known) for clip in clips])))
