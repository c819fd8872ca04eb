"""How many clips are enough: the accuracy of a linear probe that is fitted to 5, 10, 20, … clips of each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from videoclf.evaluation.learning_curve import CurvePoint, LearningCurve
from videoclf.training.ridge import kernel_of

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

_FIRST_SIZE = 5
_NUM_FOLDS = 5
_NUM_REPEATS = 3
_PENALTY = 0.1
_SEED = 0


def learning_curve(
    rows_NF: Float32Array, targets: Sequence[int], units: Sequence[Hashable], labels: Sequence[str]
) -> LearningCurve | None:
    """Fit the probe to more and more clips of each class, and evaluate it on units that it was not fitted to.

    Units are divided into five folds (or fewer). For each of them, and three times, as many clips of each class are
    drawn from the others; a class that has fewer gives all it has.

    Args:
        rows_NF: statistics of each clip.
        targets: the class of each.
        units: clips of one unit are in one fold.
        labels: the names of the classes.

    Returns:
        None if there are too few clips for two sizes.
    """
    target_N = np.array(targets)
    fold_N = _folds(units)
    available = [np.bincount(target_N[fold_N != fold], minlength=len(labels)) for fold in np.unique(fold_N)]
    largest = int(np.median([counts[counts > 0].max() for counts in available if counts.any()]))
    sizes = _sizes(largest)
    if len(np.unique(fold_N)) < 2 or len(sizes) < 2:
        return None
    kernel_NN = kernel_of(rows_NF)
    points, confusion = [], np.zeros((len(labels), len(labels)), np.int64)
    for size in sizes:
        confusion[:] = 0
        for fold in np.unique(fold_N):
            held_out = np.flatnonzero(fold_N == fold)
            for repeat in range(_NUM_REPEATS):
                rng = np.random.default_rng([_SEED, size, int(fold), repeat])
                chosen = _draw(np.flatnonzero(fold_N != fold), target_N, size, rng)
                predicted = _predict(kernel_NN, chosen, held_out, target_N, len(labels))
                np.add.at(confusion, (target_N[held_out], predicted), 1)
        of_class = confusion.sum(axis=1)
        recall = np.divide(confusion.diagonal(), of_class, out=np.zeros(len(labels)), where=of_class > 0)
        points.append(
            CurvePoint(
                num_clips_per_class=size,
                top1=float(confusion.diagonal().sum() / confusion.sum()),
                recall=dict(zip(labels, map(float, recall), strict=True)),
            )
        )
    counts = Counter(targets)
    return LearningCurve(
        points=tuple(points),
        num_clips={label: counts[i] for i, label in enumerate(labels)},
        confusion=tuple(tuple(map(int, row)) for row in confusion),
    )


def _sizes(largest: int) -> list[int]:
    """5, 10, 20, … and the largest."""
    sizes = []
    size = _FIRST_SIZE
    while size < largest:
        sizes.append(size)
        size *= 2
    if sizes and largest < 1.3 * sizes[-1]:
        sizes.pop()  # two points side by side tell nothing
    return [*sizes, largest]


def _folds(units: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """The fold of each clip: units by size, each into the smallest fold."""
    sizes = Counter(units)
    clips_in = [0] * min(_NUM_FOLDS, len(sizes))
    fold_of: dict[Hashable, int] = {}
    for unit, size in sorted(sizes.items(), key=lambda entry: (-entry[1], str(entry[0]))):
        fold = int(np.argmin(clips_in))
        fold_of[unit], clips_in[fold] = fold, clips_in[fold] + size
    return np.array([fold_of[unit] for unit in units])


def _draw(
    pool: npt.NDArray[np.int64], target_N: npt.NDArray[np.int64], size: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Up to so many clips of each class."""
    drawn = [rng.permutation(pool[target_N[pool] == target])[:size] for target in np.unique(target_N[pool])]
    return np.concatenate(drawn)


def _predict(
    kernel_NN: Float64Array,
    chosen: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    target_N: npt.NDArray[np.int64],
    num_classes: int,
) -> npt.NDArray[np.int64]:
    wanted = 2 * np.eye(num_classes)[target_N[chosen]] - 1
    dual = np.linalg.solve(kernel_NN[np.ix_(chosen, chosen)] + _PENALTY * np.eye(len(chosen)), wanted)
    predicted: npt.NDArray[np.int64] = (kernel_NN[np.ix_(held_out, chosen)] @ dual).argmax(axis=1)
    return predicted
