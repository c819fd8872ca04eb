"""Classification metrics, computed with torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from videoclf.evaluation.bootstrap import Interval, accuracy_intervals

_NUM_BINS = 15
"""Of equal width, for calibration."""


class ClassMetrics(BaseModel):
    """Metrics of one class. Recall is 0 if the class has no clips, precision is 0 if it was never predicted."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    num_clips: int
    num_correct: int = Field(alias="num_right")
    """Files keep the older key."""
    precision: float
    recall: float
    f1: float

    @property
    def num_right(self) -> int:
        """The old name of `num_correct`."""
        return self.num_correct


class ScoreBin(BaseModel):
    """The clips whose best score is in one bin: a point of the reliability diagram."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    num_clips: int
    mean_score: float
    accuracy: float = Field(alias="share_right")
    """The share of these clips that is correct."""

    @property
    def share_right(self) -> float:
        """The old name of `accuracy`."""
        return self.accuracy


class FailedClip(BaseModel):
    """A clip that could not be read."""

    model_config = ConfigDict(frozen=True)

    source: str
    message: str


class Metrics(BaseModel):
    """The metrics of a set of clips, as in ``metrics.json``. Clips that failed count in `num_failed` only."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    num_clips: int
    """Clips that were classified."""
    num_failed: int
    num_correct: int = Field(alias="num_right")
    """Clips whose most probable class is correct."""
    top1: float
    """The share of these clips."""
    top1_interval: Interval | None = None
    """None in files of versions without intervals, like `mean_class_accuracy_interval`."""
    top5: float
    """The share of clips whose class is among the five most probable (among all classes, if there are fewer)."""
    mean_class_accuracy: float
    """Mean per-class accuracy: the mean of the recalls of the classes that occur."""
    mean_class_accuracy_interval: Interval | None = None
    ece: float
    """Expected calibration error: the mean gap between score and accuracy over 15 bins. (Naeini et al. 2015)"""
    reliability: tuple[ScoreBin, ...] = ()
    """Those of these bins that contain clips, in order of increasing score."""
    nll: float
    """Mean negative log-likelihood of the true class, in nats."""
    mean_average_precision: float | None = None
    """With several labels a clip: the mean of the average precisions of the labels that occur. The other metrics are
    then defined as in `compute_multilabel_metrics`."""
    per_class: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...]
    """Confusion matrix: counts by ``[true class][predicted class]``, in the order of `per_class`."""
    failed: tuple[FailedClip, ...]
    num_trained_on: int = 0
    """The number of clips (failed ones included) that the model was trained or validated on. They say nothing about new
    videos."""
    without_trained_on: Metrics | None = None
    """The metrics without these clips; None if there are no such clips, or no others."""

    @property
    def num_right(self) -> int:
        """The old name of `num_correct`."""
        return self.num_correct

    def describe_intervals(self) -> str:
        """Both 95 % intervals in one line."""
        return (
            f"95 % intervals: top-1 {self.top1_interval or 'unknown'} · "
            f"mean per-class accuracy {self.mean_class_accuracy_interval or 'unknown'}"
        )


def compute_metrics(
    probabilities: npt.NDArray[np.float64],
    targets: Sequence[int],
    labels: Sequence[str],
    failed: Sequence[FailedClip] = (),
    units: Sequence[str] | None = None,
) -> Metrics:
    """Compute the metrics of predictions.

    Args:
        probabilities: ``N×C``, N at least 1.
        targets: ``N`` indices into the labels.
        labels: ``C`` names.
        failed: clips without a prediction.
        units: the resampling unit of each clip for the intervals, such as its group; see `resampled_sums`.
    """
    if probabilities.shape != (len(targets), len(labels)) or not targets:
        raise ValueError(
            f"expected {len(targets)}×{len(labels)} probabilities (1 clip or more), got {probabilities.shape}"
        )
    scores = torch.from_numpy(probabilities).clamp(max=1)  # above 1 by a rounding, torchmetrics takes them for logits
    target = torch.tensor(targets)
    num_classes = len(labels)
    confusion = multiclass_confusion_matrix(scores, target, num_classes)
    num_clips_by_class = confusion.sum(dim=1)
    num_correct_by_class = confusion.diagonal()
    recall = multiclass_recall(scores, target, num_classes, average="none")
    by_class = zip(
        labels,
        num_clips_by_class.tolist(),
        num_correct_by_class.tolist(),
        multiclass_precision(scores, target, num_classes, average="none").tolist(),
        recall.tolist(),
        multiclass_f1_score(scores, target, num_classes, average="none").tolist(),
        strict=True,
    )
    top5 = multiclass_accuracy(scores, target, num_classes, top_k=min(5, num_classes), average="micro")
    likelihood = scores[torch.arange(len(targets)), target].clamp_min(1e-12)
    is_correct = (scores.argmax(dim=1) == target).numpy()
    is_of_class = np.eye(num_classes, dtype=bool)[targets]
    top1_interval, class_interval = accuracy_intervals(
        is_correct, is_of_class, is_of_class & is_correct[:, None], units
    )
    return Metrics(
        num_clips=len(targets),
        num_failed=len(failed),
        num_correct=int(num_correct_by_class.sum()),
        top1=float(num_correct_by_class.sum() / len(targets)),
        top1_interval=top1_interval,
        top5=float(top5),
        mean_class_accuracy=float(recall[num_clips_by_class > 0].mean()),
        mean_class_accuracy_interval=class_interval,
        ece=float(multiclass_calibration_error(scores, target, num_classes, n_bins=_NUM_BINS)),
        reliability=_reliability(probabilities, targets),
        nll=float(-likelihood.log().mean()),
        per_class={
            label: ClassMetrics(num_clips=n, num_correct=correct, precision=p, recall=r, f1=f)
            for label, n, correct, p, r, f in by_class
        },
        confusion=tuple(map(tuple, confusion.tolist())),
        failed=tuple(failed),
    )


def _reliability(probabilities: npt.NDArray[np.float64], targets: Sequence[int]) -> tuple[ScoreBin, ...]:
    best = probabilities.max(axis=1)
    is_correct = probabilities.argmax(axis=1) == np.array(targets)
    bin_of = np.clip(np.ceil(best * _NUM_BINS) - 1, 0, _NUM_BINS - 1)  # a score on an edge belongs to the bin below
    return tuple(
        ScoreBin(
            num_clips=int(chosen.sum()),
            mean_score=float(best[chosen].mean()),
            accuracy=float(is_correct[chosen].mean()),
        )
        for chosen in (bin_of == number for number in range(_NUM_BINS))
        if chosen.any()
    )
