"""The probe, fitted to more and more clips."""

from __future__ import annotations

import numpy as np
import pytest

from videoclf.training.loop.learning_curve import learning_curve

LABELS = ("run", "walk")


def rows_of(targets: np.ndarray, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows: np.ndarray = np.eye(2)[targets] @ rng.normal(size=(2, 30)) + noise * rng.normal(size=(len(targets), 30))
    return rows.astype(np.float32)


def test_with_more_clips_it_is_better() -> None:
    targets = np.arange(240) % 2
    found = learning_curve(rows_of(targets, 3.0), targets.tolist(), [i // 6 for i in range(240)], LABELS)
    assert found is not None
    assert [point.num_clips_per_class for point in found.points] == [5, 10, 20, 40, 96]
    assert found.points[-1].top1 > found.points[0].top1 + 0.05
    assert sum(map(sum, found.confusion)) == 3 * 240


def test_clips_of_one_group_are_never_on_both_sides() -> None:
    rows = np.repeat(np.random.default_rng(0).normal(size=(20, 30)), 3, axis=0).astype(np.float32)
    apart = learning_curve(rows, np.repeat(np.arange(20) % 2, 3).tolist(), np.repeat(np.arange(20), 3).tolist(), LABELS)
    together = learning_curve(rows, np.repeat(np.arange(20) % 2, 3).tolist(), list(range(60)), LABELS)
    assert apart is not None
    assert together is not None
    assert together.points[-1].top1 > 0.9 > apart.points[-1].top1


@pytest.mark.parametrize("count", [2, 8])
def test_too_few_clips_have_no_curve(count: int) -> None:
    targets = np.arange(count) % 2
    assert learning_curve(rows_of(targets, 0.1), targets.tolist(), list(range(count)), LABELS) is None


def test_the_same_clips_give_the_same_curve() -> None:
    targets = np.arange(60) % 2
    first, second = (learning_curve(rows_of(targets, 1.0), targets.tolist(), list(range(60)), LABELS) for _ in range(2))
    assert first == second
