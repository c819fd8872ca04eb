"""Ridge regression as a classifier (Hoerl and Kennard 1970): fitted in closed form, and evaluated on groups that are
left out, in closed form too."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from videoclf.evaluation.likelihood import nll_of_clips
from videoclf.inference.pipeline import sigmoid, softmax
from videoclf.recipe.training import Objective

Float64Array = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

PENALTIES = (0.03, 0.3, 3.0)
"""Per feature: features are standardised, and their products divided by their number."""

_DEVIATION_FLOOR = np.float32(1e-5)
_TEMPERATURES = np.geomspace(0.02, 20, 151)
_INTERCEPT = 100.0
"""The variance of an intercept that is hardly penalised. (Centred instead, every row would be known from the others,
and a row that is left out would not be unknown.)"""


@dataclass(frozen=True)
class Ridge:
    """A fitted classifier."""

    mean: Float32Array
    """``F``, of the features that it was fitted to."""
    deviation: Float32Array
    """``F``, their standard deviation."""
    weight: Float32Array
    """``C×F``, for standardised features."""
    bias: Float32Array
    """``C``."""
    penalty: float
    temperature: float
    """The scores of groups that were left out, divided by it, are their most likely logits."""
    nll: float
    """Mean negative log-likelihood of these, in nats; targets are smoothed (see `nll_of_clips`)."""
    left_out: Float64Array
    """``K×C``: the scores of each evaluated example by the classifier without its group."""

    def scores(self, rows_NF: npt.NDArray[np.floating]) -> Float64Array:
        """``N×C``, about -1 to 1; the highest is the class."""
        standardised = (rows_NF.astype(np.float32) - self.mean) / self.deviation
        scores: Float64Array = (standardised @ self.weight.T + self.bias).astype(np.float64)
        return scores

    def layer_weights(self) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
        """Mean, deviation, weight and bias of a layer that computes the logits (`RidgeLayer`)."""
        scale = np.float32(self.temperature)
        return self.mean, self.deviation, self.weight / scale, self.bias / scale

    def logits(self, rows_NF: npt.NDArray[np.floating]) -> Float32Array:
        """``N×C``: the scores, divided by the temperature."""
        return (self.scores(rows_NF) / self.temperature).astype(np.float32)


def fit_ridge(
    rows_NF: Float32Array,
    truth_NC: npt.NDArray[np.integer],
    groups: Sequence[Hashable],
    evaluated: Sequence[Sequence[int]],
    *,
    objective: Objective = "softmax",
    row_weights: Float64Array | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> Ridge:
    """Fit one classifier against all others for each class.

    Penalty and temperature are those with the lowest negative log-likelihood of examples whose group is left out:
    exactly what fitting anew without each group would give, from one inverse matrix.

    Args:
        rows_NF: the features.
        truth_NC: 1 where a row is of a class or has a label, otherwise 0.
        groups: of each row; rows of one group are left out together.
        evaluated: the examples that are left out and evaluated: of each, its rows, whose scores are averaged.
        objective: how scores become probabilities.
        row_weights: positive; None: all the same.
        penalties: are tried.
    """
    num_rows, num_features = rows_NF.shape
    mean_F, deviation_F = _mean_and_deviation(rows_NF)
    standardised = (rows_NF - mean_F) / deviation_F
    root_N1 = np.sqrt(np.ones(num_rows) if row_weights is None else row_weights)[:, None]
    products = _products(standardised) * (root_N1 * root_N1.T)
    wanted_NC = root_N1 * (2.0 * truth_NC - 1)
    members = _members(groups)
    truth_KC = truth_NC[[each[0] for each in evaluated]]

    def attempt(penalty: float) -> tuple[float, float, float, Float64Array, Float64Array]:
        inverse = np.linalg.inv(products + penalty * np.eye(num_rows))
        dual_NC = inverse @ wanted_NC
        left_out_NC = np.empty_like(wanted_NC)
        for rows_out in members:
            error = np.linalg.solve(inverse[np.ix_(rows_out, rows_out)], dual_NC[rows_out])
            left_out_NC[rows_out] = (wanted_NC[rows_out] - error) / root_N1[rows_out]
        left_out_KC = np.stack([left_out_NC[list(each)].mean(axis=0) for each in evaluated])
        temperature, nll = _temperature(left_out_KC, truth_KC, objective)
        return nll, penalty, temperature, left_out_KC, dual_NC

    nll, penalty, temperature, left_out_KC, dual_NC = min(
        (attempt(each) for each in penalties), key=lambda each: each[0]
    )
    dual_NC = root_N1 * dual_NC
    weight_CF = (dual_NC.T.astype(np.float32) @ standardised) / num_features
    bias_C = _INTERCEPT * dual_NC.sum(axis=0)
    return Ridge(mean_F, deviation_F, weight_CF, bias_C.astype(np.float32), penalty, temperature, nll, left_out_KC)


def kernel_of(rows_NF: Float32Array) -> Float64Array:
    """The products of all pairs of standardised rows, ``N×N``, with an intercept: all that a ridge needs of them."""
    mean_F, deviation_F = _mean_and_deviation(rows_NF)
    return _products((rows_NF - mean_F) / deviation_F)


def _mean_and_deviation(rows_NF: Float32Array) -> tuple[Float32Array, Float32Array]:
    mean_F = rows_NF.mean(axis=0, dtype=np.float64).astype(np.float32)
    parts = np.array_split(rows_NF, max(1, rows_NF.shape[1] // 1024), axis=1)  # in float64 not all at once
    deviation_F = np.concatenate([part.std(axis=0, dtype=np.float64) for part in parts]).astype(np.float32)
    return mean_F, deviation_F + _DEVIATION_FLOOR


def _products(standardised: Float32Array) -> Float64Array:
    products: Float64Array = (standardised @ standardised.T).astype(np.float64) / standardised.shape[1] + _INTERCEPT
    return products


def _members(groups: Sequence[Hashable]) -> list[list[int]]:
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    return list(members.values())


def _temperature(
    scores_KC: Float64Array, truth_KC: npt.NDArray[np.integer], objective: Objective
) -> tuple[float, float]:
    """The most likely temperature, and the negative log-likelihood with it."""
    probability = softmax if objective == "softmax" else sigmoid
    found = [
        float(nll_of_clips(probability(scores_KC / each), truth_KC, objective, is_smoothed=True).mean())
        for each in _TEMPERATURES
    ]
    best = int(np.argmin(found))
    return float(_TEMPERATURES[best]), found[best]
