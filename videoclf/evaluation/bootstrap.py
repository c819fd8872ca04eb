"""How far figures would move with other clips: percentile bootstrap, 95 %. (Efron & Tibshirani 1993)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

NUM_RESAMPLES = 2000
_SEED = 0
"""Fixed, so that the same predictions always give the same interval."""

Float64Array = npt.NDArray[np.float64]


class Interval(BaseModel):
    """Holds the figure of 95 of 100 resamples. Where every clip is right, or there is but one, it is a single point: no
    resample is other than the sample, and the interval says less than it seems to."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float
    high: float

    @classmethod
    def of(cls, figures: Float64Array) -> Interval:
        """The middle 95 % of a figure's resamples."""
        low, high = np.percentile(figures, (2.5, 97.5))
        return cls(low=float(low), high=float(high))

    def __str__(self) -> str:
        return f"{self.low:.3f}–{self.high:.3f}"


def resampled_sums(rows_NK: npt.NDArray[np.generic], units: Sequence[str] | None = None) -> Float64Array:
    """Sums of the rows over resamples of the clips: as many, drawn with replacement.

    Args:
        rows_NK: what each clip adds, such as 1 where it is right.
        units: of each clip, what it is drawn with: clips of one unit come together or not at all. None: each by itself.

    Returns:
        `NUM_RESAMPLES` × K sums.
    """
    rows = np.ascontiguousarray(rows_NK)
    if units is not None:
        names, unit_of = np.unique(np.array(units), return_inverse=True)
        rows = np.zeros((len(names), rows_NK.shape[1]))
        np.add.at(rows, unit_of, rows_NK)
    # Rows that are alike are drawn as one kind: of 20,000 clips of 400 classes these are 800 kinds. (Sorted: the order
    # of the clips changes nothing.)
    kinds = sorted(Counter(row.tobytes() for row in rows).items())
    sums_of_kind = np.frombuffer(b"".join(kind for kind, _ in kinds), rows.dtype).reshape(len(kinds), -1)
    shares = np.array([count for _, count in kinds]) / len(rows)
    drawn = np.random.default_rng(_SEED).multinomial(len(rows), shares, NUM_RESAMPLES)
    return drawn.astype(np.float64) @ sums_of_kind.astype(np.float64)


def accuracy_intervals(
    is_right_N: npt.NDArray[np.bool_],
    is_of_class_NC: npt.NDArray[np.bool_],
    is_found_NC: npt.NDArray[np.bool_],
    units: Sequence[str] | None = None,
) -> tuple[Interval, Interval]:
    """Of top-1, and of the mean over the classes (those that a resample holds) of the share of their clips found.

    Args:
        is_right_N: whether a clip's likeliest class is right.
        is_of_class_NC: whether a clip is of a class.
        is_found_NC: whether it is, and was said to be.
        units: see `resampled_sums`.
    """
    num_classes = is_of_class_NC.shape[1]
    ones = np.ones_like(is_right_N)
    sums = resampled_sums(np.column_stack([ones, is_right_N, is_of_class_NC, is_found_NC]), units)
    num_clips, num_right, of_class, found = np.split(sums, [1, 2, 2 + num_classes], axis=1)
    recall = np.divide(found, of_class, out=np.zeros_like(found), where=of_class > 0)
    mean_class_accuracy = recall.sum(axis=1) / (of_class > 0).sum(axis=1)
    return Interval.of(num_right / num_clips), Interval.of(mean_class_accuracy)
