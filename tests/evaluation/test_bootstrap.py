from __future__ import annotations

import time

import numpy as np
import pytest

from videoclf.evaluation.bootstrap import NUM_RESAMPLES, Interval, accuracy_intervals, mean_over_units, resampled_sums
from videoclf.evaluation.metrics import Metrics, compute_metrics
from videoclf.evaluation.multilabel import compute_multilabel_metrics


def metrics_of(targets: list[int], called: list[int], units: list[str] | None = None, num_classes: int = 3) -> Metrics:
    return compute_metrics(np.eye(num_classes)[called], targets, [f"class{i}" for i in range(num_classes)], (), units)


def width(interval: Interval | None) -> float:
    assert interval is not None
    return interval.high - interval.low


def test_a_resample_has_as_many_clips_as_there_are() -> None:
    assert set(resampled_sums(np.ones((7, 1)))[:, 0]) == {7}
    assert len(resampled_sums(np.ones((7, 1)))) == NUM_RESAMPLES >= 1000


def test_the_interval_is_that_of_the_binomial() -> None:
    """80 of 100: the 2.5 % and 97.5 % points of Binomial(100, 0.8) are 72 and 87."""
    interval = metrics_of([0] * 100, [0] * 80 + [1] * 20).top1_interval
    assert interval is not None
    assert interval.low == pytest.approx(0.72, abs=0.011)
    assert interval.high == pytest.approx(0.87, abs=0.011)


def test_it_equals_drawing_clips_one_by_one() -> None:
    draw = np.random.default_rng(1)
    targets, is_correct = np.repeat([0, 1, 2], [60, 30, 10]), draw.random(100) < 0.7
    picks = draw.integers(0, 100, (4000, 100))
    slow = [
        np.mean([is_correct[pick][targets[pick] == c].mean() for c in range(3) if (targets[pick] == c).any()])
        for pick in picks
    ]
    of_class = np.eye(3, dtype=bool)[targets]
    _, interval = accuracy_intervals(is_correct, of_class, of_class & is_correct[:, None])
    assert (interval.low, interval.high) == pytest.approx(np.percentile(slow, (2.5, 97.5)), abs=0.015)


def test_the_same_clips_in_another_order_give_the_same_interval() -> None:
    targets, called = [0, 0, 1, 1, 2], [0, 1, 1, 1, 0]
    assert metrics_of(targets, called) == metrics_of(targets, called)
    again = metrics_of(targets[::-1], called[::-1])
    assert again.top1_interval == metrics_of(targets, called).top1_interval


def test_clips_of_a_unit_are_drawn_together() -> None:
    """Ten units of ten clips, each all right or all wrong, tell no more than ten clips do."""
    called = [0] * 80 + [1] * 20
    by_clip = metrics_of([0] * 100, called)
    by_unit = metrics_of([0] * 100, called, [f"g{i // 10}" for i in range(100)])
    ten_clips = metrics_of([0] * 10, [0] * 8 + [1] * 2)
    assert by_unit.top1 == by_clip.top1
    assert width(by_unit.top1_interval) == pytest.approx(width(ten_clips.top1_interval), abs=0.01)
    assert width(by_unit.top1_interval) > 2 * width(by_clip.top1_interval)


def test_small_sets_give_an_interval_too() -> None:
    one = metrics_of([1], [1])
    assert one.top1_interval == one.mean_class_accuracy_interval == Interval(low=1, high=1)
    assert metrics_of([1], [0]).top1_interval == Interval(low=0, high=0)
    assert metrics_of([0, 1, 2], [0, 1, 2], ["a", "a", "a"]).top1_interval == Interval(low=1, high=1)


def test_clips_with_several_labels_have_intervals_too() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6], [0.4, 0.1, 0.3]])
    metrics = compute_multilabel_metrics(scores, [(0, 1), (2,), (0,)], ("a", "b", "c"))
    for figure, interval in (
        (metrics.top1, metrics.top1_interval),
        (metrics.mean_class_accuracy, metrics.mean_class_accuracy_interval),
    ):
        assert interval is not None
        assert interval.low <= figure <= interval.high


def test_an_interval_reads_as_two_figures() -> None:
    assert str(Interval(low=0.5, high=0.87654)) == "0.500–0.877"


def test_intervals_of_kineticss_size_take_a_moment() -> None:
    draw = np.random.default_rng(0)
    of_class = np.eye(400, dtype=bool)[draw.integers(0, 400, 20_000)]
    is_correct = draw.random(20_000) < 0.8
    started = time.process_time()
    accuracy_intervals(is_correct, of_class, of_class & is_correct[:, None])
    assert time.process_time() - started < 5  # 0.5 s on the machine this was written on


def test_the_error_of_a_mean_is_over_units() -> None:
    found = mean_over_units([2, 0], [2, 2])
    assert found.mean == 0.5
    assert found.standard_error == pytest.approx((2 * (1 + 1)) ** 0.5 / 4)
    assert mean_over_units([1], [2]).standard_error is None
