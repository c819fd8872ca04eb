"""95 % confidence intervals by percentile bootstrap over the clips (Efron & Tibshirani 1993), and standard errors over
groups of clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

NUM_RESAMPLES = 2000
_SEED = 0
"""Fixed, so that the same predictions always give the same interval."""

Float64Array = npt.NDArray[np.float64]


class Interval(BaseModel):
    """A 95 % confidence interval: the middle 95 % of a metric's bootstrap resamples.

    If all clips are correct, or if there is only one clip, the interval is a single point, because every resample then
    equals the sample. Such an interval is too optimistic.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float
    high: float

    @classmethod
    def of(cls, figures: Float64Array) -> Interval:
        """The middle 95 % of a metric's resamples."""
        low, high = np.percentile(figures, (2.5, 97.5))
        return cls(low=float(low), high=float(high))

    def __str__(self) -> str:
        return f"{self.low:.3f}–{self.high:.3f}"


def resampled_sums(rows_NK: npt.NDArray[np.generic], units: Sequence[str] | None = None) -> Float64Array:
    """Sum rows over bootstrap resamples of the clips. A resample has as many clips, drawn with replacement.

    Args:
        rows_NK: what each clip contributes to the sums, such as 1 if it is correct.
        units: the resampling unit of each clip, such as its group: clips of one unit are drawn together. None: each
            clip is a unit of its own.

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
    is_correct_N: npt.NDArray[np.bool_],
    is_of_class_NC: npt.NDArray[np.bool_],
    is_found_NC: npt.NDArray[np.bool_],
    units: Sequence[str] | None = None,
) -> tuple[Interval, Interval]:
    """Intervals of top-1 accuracy and of mean per-class accuracy (over the classes that occur in a resample).

    Args:
        is_correct_N: whether the most probable class of a clip is correct.
        is_of_class_NC: whether a clip belongs to a class.
        is_found_NC: whether it belongs to the class and that class was predicted.
        units: see `resampled_sums`.
    """
    num_classes = is_of_class_NC.shape[1]
    ones = np.ones_like(is_correct_N)
    sums = resampled_sums(np.column_stack([ones, is_correct_N, is_of_class_NC, is_found_NC]), units)
    num_clips, num_correct, of_class, found = np.split(sums, [1, 2, 2 + num_classes], axis=1)
    recall = np.divide(found, of_class, out=np.zeros_like(found), where=of_class > 0)
    mean_class_accuracy = recall.sum(axis=1) / (of_class > 0).sum(axis=1)
    return Interval.of(num_correct / num_clips), Interval.of(mean_class_accuracy)


@dataclass(frozen=True)
class MeanOverUnits:
    """A mean over clips."""

    mean: float
    standard_error: float | None
    """Over units; None with a single unit."""


def mean_over_units(totals: Sequence[float], sizes: Sequence[int]) -> MeanOverUnits:
    """The mean over clips, and its standard error over units: clips of one unit (a group) are alike, so that their
    number alone would make the error too small. (Of a ratio, because units have different sizes: Cochran 1977.)

    Args:
        totals: of each unit, the sum over its clips.
        sizes: of each unit, its number of clips.
    """
    total, size = np.array(totals, dtype=np.float64), np.array(sizes, dtype=np.float64)
    num_units, mean = len(total), float(total.sum() / size.sum())
    if num_units < 2:
        return MeanOverUnits(mean, None)
    squares = ((total - mean * size) ** 2).sum()
    return MeanOverUnits(mean, float(np.sqrt(num_units / (num_units - 1) * squares) / size.sum()))
