"""Temperature scaling, and the threshold below which a prediction is marked as uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from videoclf.evaluation.likelihood import LABEL_THRESHOLD, Targets, truth_matrix
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.pipeline import average_windows_of_clips
from videoclf.recipe.header import Calibration
from videoclf.recipe.training import Objective

Float64Array = npt.NDArray[np.float64]

KEPT_SHARE = 0.9
"""The share of clips of known classes whose score should reach the threshold."""

_MAX_THRESHOLD = 0.9
"""A calibrated score above this is never uncertain, however confident the model was on its validation clips."""

_TEMPERATURES = np.geomspace(0.05, 8, 177)


def calibrate(
    window_logits: Sequence[Sequence[Float32Array]],
    num_frames: Sequence[Sequence[int]],
    targets: Targets,
    objective: Objective = "softmax",
) -> Calibration:
    """Choose the temperature (Guo et al. 2017) and the threshold on clips that were not trained on.

    The temperature minimizes the negative log-likelihood of the clips over a grid of 177 values between 1/20 and 8.
    The targets are smoothed to (N + 1) / (N + 2) (Platt 1999): if all of a few clips are correct, the lowest
    temperature would otherwise always be chosen. The threshold is the score that nine of ten clips reach, 0.9 at most.

    Args:
        window_logits: the logits of each clip's windows, ``C`` each.
        num_frames: the lengths of each clip's windows.
        targets: the class index of each clip or, with ``sigmoid``, its label indices.
        objective: of the recipe. With ``sigmoid`` a label is predicted from 0.5 on, so the threshold is 0.5 at most.
    """
    clips = list(zip(window_logits, num_frames, targets, strict=True))
    logits_WC = np.stack([window for windows, _, _ in clips for window in windows])
    num_frames_W = np.array([length for _, lengths, _ in clips for length in lengths])
    first_window_N = np.cumsum([0, *(len(windows) for windows, _, _ in clips[:-1])])

    num_classes = logits_WC.shape[1]
    doubt = 1 / (len(clips) + 2)
    others = doubt / (num_classes - 1) if objective == "softmax" else doubt
    wanted = np.where(truth_matrix(targets, num_classes) == 1, 1 - doubt, others)

    def scores(temperature: float) -> Float64Array:
        return average_windows_of_clips(logits_WC, num_frames_W, first_window_N, temperature, objective)

    def nll(temperature: float) -> float:
        found = scores(temperature)
        likelihood = wanted * np.log(np.maximum(found, 1e-12))
        if objective == "sigmoid":
            likelihood += (1 - wanted) * np.log(np.maximum(1 - found, 1e-12))
        return -float(likelihood.sum())

    temperature = round(float(min(_TEMPERATURES, key=nll)), 4)
    quantile = float(np.quantile(scores(temperature).max(axis=1), 1 - KEPT_SHARE))
    highest = _MAX_THRESHOLD if objective == "softmax" else LABEL_THRESHOLD
    return Calibration(temperature=temperature, threshold=min(math.floor(quantile * 1e4) / 1e4, highest))
