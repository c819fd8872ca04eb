"""Metrics for clips with several labels, computed with torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import (
    binary_average_precision,
    binary_calibration_error,
    multilabel_f1_score,
    multilabel_precision,
    multilabel_recall,
)

from videoclf.evaluation.bootstrap import accuracy_intervals
from videoclf.evaluation.likelihood import LABEL_THRESHOLD, mean_nll, truth_matrix
from videoclf.evaluation.metrics import ClassMetrics, FailedClip, Metrics


def compute_multilabel_metrics(
    probabilities: npt.NDArray[np.float64],
    targets: Sequence[tuple[int, ...]],
    labels: Sequence[str],
    failed: Sequence[FailedClip] = (),
    units: Sequence[str] | None = None,
) -> Metrics:
    """Compute the metrics of predictions in which each label is scored separately.

    A clip is correct (`top1`) if its most probable label is one of its own, and correct for `top5` if one of the five
    most probable is. In the confusion matrix it is in the row of its most probable label if that is true, otherwise in
    the row of the most probable of its own. For precision, recall and F1, a label is predicted from 0.5 on. Of a label,
    `num_clips` is the number of clips that have it, `num_correct` the number of these for which it is predicted.
    `mean_class_accuracy` is the mean recall.

    Args:
        probabilities: ``N×C``, N at least 1.
        targets: the label indices of each clip, at least one.
        labels: ``C`` names.
        failed: clips without a prediction.
        units: as for `compute_metrics`.
    """
    if probabilities.shape != (len(targets), len(labels)) or not targets:
        raise ValueError(
            f"expected {len(targets)}×{len(labels)} probabilities (1 clip or more), got {probabilities.shape}"
        )
    truth = truth_matrix(targets, len(labels))
    best = probabilities.argmax(axis=1)
    is_correct = truth[np.arange(len(truth)), best] == 1
    own_best = np.where(truth == 1, probabilities, -1).argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (np.where(is_correct, best, own_best), best), 1)
    five_best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    scores, target = torch.from_numpy(probabilities).clamp(0, 1), torch.from_numpy(truth)
    recall = multilabel_recall(scores, target, len(labels), LABEL_THRESHOLD, average="none")
    occurring = target.any(dim=0)
    is_found = (scores.numpy() >= LABEL_THRESHOLD) & (truth == 1)
    by_label = zip(
        labels,
        target.sum(dim=0).tolist(),
        is_found.sum(axis=0).tolist(),
        multilabel_precision(scores, target, len(labels), LABEL_THRESHOLD, average="none").tolist(),
        recall.tolist(),
        multilabel_f1_score(scores, target, len(labels), LABEL_THRESHOLD, average="none").tolist(),
        strict=True,
    )
    average_precisions = [binary_average_precision(scores[:, i], target[:, i]) for i in occurring.nonzero().flatten()]
    num_correct = int(confusion.trace())
    top1_interval, class_interval = accuracy_intervals(is_correct, truth == 1, is_found, units)
    return Metrics(
        num_clips=len(targets),
        num_failed=len(failed),
        num_correct=num_correct,
        top1=num_correct / len(targets),
        top1_interval=top1_interval,
        top5=float(np.take_along_axis(truth, five_best, axis=1).any(axis=1).mean()),
        mean_class_accuracy=float(recall[occurring].mean()),
        mean_class_accuracy_interval=class_interval,
        ece=float(binary_calibration_error(scores.flatten(), target.flatten(), n_bins=15)),
        nll=mean_nll(probabilities, targets, "sigmoid"),
        mean_average_precision=float(torch.stack(average_precisions).mean()),
        per_class={
            label: ClassMetrics(num_clips=n, num_correct=correct, precision=p, recall=r, f1=f)
            for label, n, correct, p, r, f in by_label
        },
        confusion=tuple(map(tuple, confusion.tolist())),
        failed=tuple(failed),
    )
