"""How good predictions are. (torchmetrics underneath.)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
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
    """One class; where no clip of it was tested, or none was called so, the figure concerned is 0."""

    model_config = ConfigDict(frozen=True)

    num_clips: int
    num_right: int
    precision: float
    recall: float
    f1: float


class ScoreBin(BaseModel):
    """Clips whose best score lies in one range: a point of the reliability plot."""

    model_config = ConfigDict(frozen=True)

    num_clips: int
    mean_score: float
    share_right: float


class FailedClip(BaseModel):
    """A clip that could not be read."""

    model_config = ConfigDict(frozen=True)

    source: str
    message: str


class Metrics(BaseModel):
    """What ``metrics.json`` holds of a set of clips. Clips that failed count in `num_failed` and nowhere else."""

    model_config = ConfigDict(frozen=True)

    num_clips: int
    """Clips classified."""
    num_failed: int
    num_right: int
    top1: float
    """Share of the clips whose likeliest class is right."""
    top1_interval: Interval | None = None
    """None in what was written before there were intervals, as for the mean over classes."""
    top5: float
    """Share whose class is among the five likeliest (of all classes, where there are fewer)."""
    mean_class_accuracy: float
    """Mean over the classes that occur of the share of their clips that is right."""
    mean_class_accuracy_interval: Interval | None = None
    ece: float
    """Expected calibration error: how far scores are from the share that is right, in 15 bins. (Naeini et al. 2015)"""
    reliability: tuple[ScoreBin, ...] = ()
    """Of these bins, those that hold clips, from the lowest scores up."""
    nll: float
    """Mean negative log-likelihood of the right class, in nats."""
    mean_average_precision: float | None = None
    """Where a clip may have several labels: the mean over the labels that occur of their average precision. The other
    figures then mean what `compute_multilabel_metrics` says."""
    per_class: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...]
    """``[true class][called class]`` counts, in the order of `per_class`."""
    failed: tuple[FailedClip, ...]
    num_trained_on: int = 0
    """Of the clips, failed ones among them, those that the model was trained or validated on: they say nothing of new
    videos."""
    without_trained_on: Metrics | None = None
    """The figures without them; None where there are none, or nothing else."""

    def describe_intervals(self) -> str:
        """The line below the figures."""
        return (
            f"95 % intervals: top-1 {self.top1_interval or 'unknown'} · "
            f"mean over classes {self.mean_class_accuracy_interval or 'unknown'}"
        )


def compute_metrics(
    probabilities: npt.NDArray[np.float64],
    targets: Sequence[int],
    labels: Sequence[str],
    failed: Sequence[FailedClip] = (),
    units: Sequence[str] | None = None,
) -> Metrics:
    """Figures of predictions against the truth.

    Args:
        probabilities: ``N×C``, N at least 1.
        targets: ``N`` indices into the labels.
        labels: ``C`` names.
        failed: clips that gave no prediction.
        units: of each clip what it is drawn with for the intervals, such as its group; see `resampled_sums`.
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
    num_right_by_class = confusion.diagonal()
    recall = multiclass_recall(scores, target, num_classes, average="none")
    by_class = zip(
        labels,
        num_clips_by_class.tolist(),
        num_right_by_class.tolist(),
        multiclass_precision(scores, target, num_classes, average="none").tolist(),
        recall.tolist(),
        multiclass_f1_score(scores, target, num_classes, average="none").tolist(),
        strict=True,
    )
    top5 = multiclass_accuracy(scores, target, num_classes, top_k=min(5, num_classes), average="micro")
    likelihood = scores[torch.arange(len(targets)), target].clamp_min(1e-12)
    is_right = (scores.argmax(dim=1) == target).numpy()
    is_of_class = np.eye(num_classes, dtype=bool)[targets]
    top1_interval, class_interval = accuracy_intervals(is_right, is_of_class, is_of_class & is_right[:, None], units)
    return Metrics(
        num_clips=len(targets),
        num_failed=len(failed),
        num_right=int(num_right_by_class.sum()),
        top1=float(num_right_by_class.sum() / len(targets)),
        top1_interval=top1_interval,
        top5=float(top5),
        mean_class_accuracy=float(recall[num_clips_by_class > 0].mean()),
        mean_class_accuracy_interval=class_interval,
        ece=float(multiclass_calibration_error(scores, target, num_classes, n_bins=_NUM_BINS)),
        reliability=_reliability(probabilities, targets),
        nll=float(-likelihood.log().mean()),
        per_class={
            label: ClassMetrics(num_clips=n, num_right=right, precision=p, recall=r, f1=f)
            for label, n, right, p, r, f in by_class
        },
        confusion=tuple(map(tuple, confusion.tolist())),
        failed=tuple(failed),
    )


def _reliability(probabilities: npt.NDArray[np.float64], targets: Sequence[int]) -> tuple[ScoreBin, ...]:
    best = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == np.array(targets)
    bin_of = np.clip(np.ceil(best * _NUM_BINS) - 1, 0, _NUM_BINS - 1)  # a score on an edge belongs to the bin below
    return tuple(
        ScoreBin(
            num_clips=int(chosen.sum()),
            mean_score=float(best[chosen].mean()),
            share_right=float(is_right[chosen].mean()),
        )
        for chosen in (bin_of == number for number in range(_NUM_BINS))
        if chosen.any()
    )
