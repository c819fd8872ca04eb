"""How likely a model held what is true, of clips with one class or with several labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from videoclf.recipe.training import Objective

LABEL_THRESHOLD = 0.5
"""With several labels a clip, one is said to be there from this score on."""

Targets = Sequence[int | tuple[int, ...]]
"""Of each clip: the index of its class (``softmax``), or those of its labels, one at least (``sigmoid``)."""


def truth_matrix(targets: Targets, num_labels: int) -> npt.NDArray[np.int64]:
    """``N×C``, 1 where a clip is of a class or has a label."""
    truth = np.zeros((len(targets), num_labels), np.int64)
    for index, target in enumerate(targets):
        truth[index, list(target) if isinstance(target, tuple) else [target]] = 1
    return truth


def mean_nll(probabilities: npt.NDArray[np.float64], targets: Targets, objective: Objective) -> float:
    """Mean negative log-likelihood, in nats: of the clips' classes or, with ``sigmoid``, of each label being there or
    not (binary cross entropy, the mean over clips and labels).

    Args:
        probabilities: ``N×C``.
        targets: of each clip.
        objective: which of the two.
    """
    if len(targets) != len(probabilities):
        raise ValueError(f"expected a target for each of {len(probabilities)} clips, got {len(targets)}")
    truth = truth_matrix(targets, probabilities.shape[1])
    if objective == "softmax":
        right = probabilities[truth == 1]
    else:
        right = np.where(truth == 1, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(right, 1e-12)).mean())


def share_right(probabilities: npt.NDArray[np.float64], targets: Targets) -> float:
    """Of the clips, how many have a best class or label that is true of them."""
    truth = truth_matrix(targets, probabilities.shape[1])
    return float(truth[np.arange(len(truth)), probabilities.argmax(axis=1)].mean())
