"""Temperature scaling, and the threshold below which a prediction is marked as uncertain."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from videoclf.evaluation.bootstrap import mean_over_units
from videoclf.evaluation.likelihood import LABEL_THRESHOLD, Targets, nll_of_clips, truth_matrix
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.pipeline import average_windows_of_clips
from videoclf.recipe.head import DEFAULT_RIDGE_SHARE
from videoclf.recipe.header import Calibration
from videoclf.recipe.training import Objective

Float64Array = npt.NDArray[np.float64]

KEPT_SHARE = 0.9
"""The share of clips of known classes whose score should reach the threshold."""

_MAX_THRESHOLD = 0.9
"""A calibrated score above this is never uncertain, however confident the model was on its validation clips."""

_MIN_CLIPS = 20
"""Of fewer clips, what they say of a temperature is chance."""

_NUM_ERRORS = 2
"""So many standard errors must a temperature gain on units that it was not chosen on."""

_TEMPERATURES = np.geomspace(0.05, 8, 177)


RIDGE_SHARES = (0.2, 0.4, 0.6, 0.8)
"""Shares of a head's ridge that `choose_ridge_share` tries."""
_SHARE_DEVIATION = 0.15
"""Of the prior around it: a dozen clips hardly move it, a thousand decide."""


def calibrate(
    window_logits: Sequence[Sequence[Float32Array]],
    num_frames: Sequence[Sequence[int]],
    targets: Targets,
    objective: Objective = "softmax",
    units: Sequence[Hashable] | None = None,
) -> Calibration:
    """Choose the temperature (Guo et al. 2017) and the threshold on clips that were not trained on.

    The temperature minimizes the negative log-likelihood of the clips over a grid of 177 values between 1/20 and 8; see
    `nll_of_clips`. It is 1 if this does not help: each unit is scored with the temperature of the others, and the mean
    gain must exceed twice its standard error. (Of a few groups, chance would often choose a worse one; of a single
    group, it is not known whether others are like it.) With fewer than 20 clips it is 1, too. The threshold is the
    score that nine of ten clips reach, 0.9 at most.

    Args:
        window_logits: the logits of each clip's windows, ``C`` each.
        num_frames: the lengths of each clip's windows.
        targets: the class index of each clip or, with ``sigmoid``, its label indices.
        objective: of the recipe. With ``sigmoid`` a label is predicted from 0.5 on, so the threshold is 0.5 at most.
        units: of each clip, its group; None: each clip is a unit of its own.
    """
    clips = _Clips.of(window_logits, num_frames, targets, objective)
    temperature = _choose_temperature(clips, list(range(len(targets))) if units is None else units)
    quantile = float(np.quantile(clips.scores(temperature).max(axis=1), 1 - KEPT_SHARE))
    highest = _MAX_THRESHOLD if objective == "softmax" else LABEL_THRESHOLD
    return Calibration(temperature=temperature, threshold=min(math.floor(quantile * 1e4) / 1e4, highest))


def choose_ridge_share(
    network_logits: Sequence[Sequence[Float32Array]],
    ridge_logits: Sequence[Sequence[Float32Array]],
    num_frames: Sequence[Sequence[int]],
    targets: Targets,
    objective: Objective = "softmax",
) -> float:
    """Choose the share of a head's ridge on clips that were not trained on: the most likely of `RIDGE_SHARES`, each
    with its own best temperature, under a prior around `DEFAULT_RIDGE_SHARE`.

    Args:
        network_logits: the logits of each clip's windows without the ridge, ``C`` each.
        ridge_logits: those of the ridge alone.
        num_frames: the lengths of each clip's windows.
        targets: the class index of each clip or, with ``sigmoid``, its label indices.
        objective: of the recipe.
    """
    network = _Clips.of(network_logits, num_frames, targets, objective)
    ridge = _Clips.of(ridge_logits, num_frames, targets, objective)

    def cost(share: float) -> float:
        mixed = replace(network, window_logits=(1 - share) * network.window_logits + share * ridge.window_logits)
        prior = ((share - DEFAULT_RIDGE_SHARE) / _SHARE_DEVIATION) ** 2 / 2
        return prior + min(float(mixed.nll(each, is_smoothed=True).sum()) for each in _TEMPERATURES[::2])

    return min(RIDGE_SHARES, key=cost)


@dataclass(frozen=True)
class _Clips:
    """The logits of clips, window by window, and what is true of them."""

    window_logits: Float32Array
    """``W×C``, clip by clip."""
    num_frames: npt.NDArray[np.int64]
    """``W``."""
    first_window: npt.NDArray[np.int64]
    """``N``, where each clip's windows begin."""
    truth: npt.NDArray[np.int64]
    """``N×C``; see `truth_matrix`."""
    objective: Objective

    @classmethod
    def of(
        cls,
        window_logits: Sequence[Sequence[Float32Array]],
        num_frames: Sequence[Sequence[int]],
        targets: Targets,
        objective: Objective,
    ) -> Self:
        clips = list(zip(window_logits, num_frames, targets, strict=True))
        logits_WC = np.stack([window for windows, _, _ in clips for window in windows])
        num_frames_W = np.array([length for _, lengths, _ in clips for length in lengths])
        first_window_N = np.cumsum([0, *(len(windows) for windows, _, _ in clips[:-1])])
        return cls(logits_WC, num_frames_W, first_window_N, truth_matrix(targets, logits_WC.shape[1]), objective)

    def scores(self, temperature: float) -> Float64Array:
        """``N×C`` probabilities."""
        return average_windows_of_clips(
            self.window_logits, self.num_frames, self.first_window, temperature, self.objective
        )

    def nll(self, temperature: float, *, is_smoothed: bool) -> Float64Array:
        """Of each clip; see `nll_of_clips`."""
        return nll_of_clips(self.scores(temperature), self.truth, self.objective, is_smoothed=is_smoothed)


def _choose_temperature(clips: _Clips, units: Sequence[Hashable]) -> float:
    """The most likely temperature, or 1."""
    members: dict[Hashable, list[int]] = {}
    for clip, unit in enumerate(units):
        members.setdefault(unit, []).append(clip)
    if len(units) < _MIN_CLIPS or len(members) < 2:
        return 1.0
    smoothed_TN = np.stack([clips.nll(each, is_smoothed=True) for each in _TEMPERATURES])
    total_T = smoothed_TN.sum(axis=1)
    nll_TN = np.stack([clips.nll(each, is_smoothed=False) for each in _TEMPERATURES])
    unscaled_N = clips.nll(1.0, is_smoothed=False)
    gains = [
        float((unscaled_N - nll_TN[(total_T - smoothed_TN[:, own].sum(axis=1)).argmin()])[own].sum())
        for own in members.values()
    ]
    gain = mean_over_units(gains, [len(own) for own in members.values()])
    if gain.standard_error is None or gain.mean <= _NUM_ERRORS * gain.standard_error:
        return 1.0
    return round(float(_TEMPERATURES[total_T.argmin()]), 4)
