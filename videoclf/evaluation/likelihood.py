"""Likelihood and top-1 accuracy of predictions, for one class or several labels a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from videoclf.recipe.training import Objective

LABEL_THRESHOLD = 0.5
"""With several labels a clip, a label is predicted from this score on."""

Targets = Sequence[int | tuple[int, ...]]
"""For each clip: the index of its class (``softmax``), or the indices of its labels, at least one (``sigmoid``)."""


def truth_matrix(targets: Targets, num_labels: int) -> npt.NDArray[np.int64]:
    """``N×C``, 1 where a clip has the class or label."""
    truth = np.zeros((len(targets), num_labels), np.int64)
    for index, target in enumerate(targets):
        truth[index, list(target) if isinstance(target, tuple) else [target]] = 1
    return truth


def mean_nll(probabilities: npt.NDArray[np.float64], targets: Targets, objective: Objective) -> float:
    """Mean negative log-likelihood in nats: of the clips' classes or, with ``sigmoid``, of the presence or absence of
    each label (binary cross-entropy, the mean over clips and labels).

    Args:
        probabilities: ``N×C``.
        targets: see `Targets`.
        objective: ``softmax`` or ``sigmoid``.
    """
    if len(targets) != len(probabilities):
        raise ValueError(f"expected a target for each of {len(probabilities)} clips, got {len(targets)}")
    truth = truth_matrix(targets, probabilities.shape[1])
    if objective == "softmax":
        likelihood = probabilities[truth == 1]
    else:
        likelihood = np.where(truth == 1, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(likelihood, 1e-12)).mean())


def nll_of_clips(
    probabilities: npt.NDArray[np.float64],
    truth_NC: npt.NDArray[np.integer],
    objective: Objective,
    *,
    is_smoothed: bool = False,
) -> npt.NDArray[np.float64]:
    """Negative log-likelihood of each clip in nats, ``N`` (with ``sigmoid``, the sum over the labels).

    Args:
        probabilities: ``N×C``.
        truth_NC: see `truth_matrix`.
        objective: ``softmax`` or ``sigmoid``.
        is_smoothed: whether targets are smoothed to (N + 1) / (N + 2) (Platt 1999): if all of a few clips are correct,
            the lowest temperature would otherwise always be the most likely.
    """
    num_clips, num_labels = truth_NC.shape
    doubt = 1 / (num_clips + 2) if is_smoothed else 0.0
    others = doubt / (num_labels - 1) if objective == "softmax" else doubt
    wanted = np.where(truth_NC == 1, 1 - doubt, others)
    likelihood = wanted * np.log(np.maximum(probabilities, 1e-12))
    if objective == "sigmoid":
        likelihood += (1 - wanted) * np.log(np.maximum(1 - probabilities, 1e-12))
    nll: npt.NDArray[np.float64] = -likelihood.sum(axis=1)
    return nll


def top1_accuracy(probabilities: npt.NDArray[np.float64], targets: Targets) -> float:
    """The share of clips whose most probable class or label is true."""
    truth = truth_matrix(targets, probabilities.shape[1])
    return float(truth[np.arange(len(truth)), probabilities.argmax(axis=1)].mean())
