"""The baseline that any recipe should beat: a linear classifier on statistics of a clip's frozen features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Float64Array = npt.NDArray[np.float64]

_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Per feature and clip: features are standardised, and their products divided by their number."""


def clip_statistics(windows_TD: Sequence[Tensor]) -> Float64Array:
    """``3D`` statistics: mean, deviation and mean absolute change over all steps of a clip's windows (zero for a single
    step)."""
    steps = torch.cat(list(windows_TD)).double()
    change = steps.diff(dim=0).abs().mean(dim=0) if len(steps) > 1 else torch.zeros_like(steps[0])
    statistics: Float64Array = torch.cat([steps.mean(dim=0), steps.std(dim=0, correction=0), change]).numpy()
    return statistics


class RidgeProbe:
    """One-against-all ridge regression (Hoerl and Kennard 1970), solved in the space of clips.

    Args:
        statistics: ``N×F`` for the training clips.
        targets: ``N`` class indices below ``num_classes``.
        num_classes: C.
        penalty: one of the strengths that `choose_penalty` tries.
    """

    def __init__(self, statistics: Float64Array, targets: Sequence[int], num_classes: int, penalty: float) -> None:
        self._mean, self._scale = statistics.mean(axis=0), statistics.std(axis=0) + 1e-5
        self._clips = self._standardised(statistics)
        wanted = 2 * np.eye(num_classes)[list(targets)] - 1
        self._offset = wanted.mean(axis=0)
        products = self._products(self._clips)
        self._weights = np.linalg.solve(products + penalty * np.eye(len(wanted)), wanted - self._offset)

    def scores(self, statistics: Float64Array) -> Float64Array:
        """``M×C``, about -1 to 1; the highest is the class."""
        result: Float64Array = self._products(self._standardised(statistics)) @ self._weights + self._offset
        return result

    def _standardised(self, statistics: Float64Array) -> Float64Array:
        result: Float64Array = (statistics - self._mean) / self._scale
        return result

    def _products(self, standardised: Float64Array) -> Float64Array:
        result: Float64Array = standardised @ self._clips.T / self._clips.shape[1]
        return result


def choose_penalty(
    train: Float64Array,
    train_targets: Sequence[int],
    validation: Float64Array,
    validation_targets: Sequence[int],
    num_classes: int,
) -> float:
    """The penalty with the most correct validation clips; among equals, the one with the least squared error."""
    wanted = 2 * np.eye(num_classes)[list(validation_targets)] - 1

    def quality(penalty: float) -> tuple[int, float]:
        scores = RidgeProbe(train, train_targets, num_classes, penalty).scores(validation)
        return int((scores.argmax(axis=1) == np.array(validation_targets)).sum()), -float(
            ((scores - wanted) ** 2).mean()
        )

    return max(_PENALTIES, key=quality)
