"""Scores that mean what they say, and the score below which a model says that it does not know."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from videoclf.inference.engine import Float32Array
from videoclf.inference.pipeline import average_windows
from videoclf.recipe.header import Calibration

KEPT_SHARE = 0.9
"""Of clips of known classes, this share is to lie above the threshold."""

_MAX_THRESHOLD = 0.9
"""A calibrated score above this is never called uncertain, however sure the model was of its validation clips."""

_TEMPERATURES = np.geomspace(0.25, 8, 121)


def calibrate(
    window_logits: Sequence[Sequence[Float32Array]],
    num_frames: Sequence[Sequence[int]],
    targets: Sequence[int],
) -> Calibration:
    """Choose temperature (Guo et al. 2017) and threshold on clips that were not trained on.

    The temperature is the one, of a grid of 121 between 1/4 and 8, under which the clips' negative log-likelihood is
    least; the threshold is the score that nine of ten clips reach, and 0.9 at most.

    Args:
        window_logits: for each clip its windows' logits, ``C`` each.
        num_frames: for each clip its windows' lengths.
        targets: for each clip the index of its class.
    """
    clips = list(zip(window_logits, num_frames, targets, strict=True))

    def scores(temperature: float) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
        return [average_windows(logits, lengths, temperature) for logits, lengths, _ in clips]

    def nll(temperature: float) -> float:
        right = [clip[target] for clip, target in zip(scores(temperature), targets, strict=True)]
        return float(-np.log(np.maximum(right, 1e-12)).mean())

    temperature = round(float(min(_TEMPERATURES, key=nll)), 4)
    quantile = float(np.quantile([clip.max() for clip in scores(temperature)], 1 - KEPT_SHARE))
    return Calibration(temperature=temperature, threshold=min(math.floor(quantile * 1e4) / 1e4, _MAX_THRESHOLD))
