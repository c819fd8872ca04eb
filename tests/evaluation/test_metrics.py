from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoclf.evaluation.metrics import FailedClip, Metrics, compute_metrics

Probabilities = npt.NDArray[np.float64]

# Three clips of walk (two right, one called run), one of run (right); nothing of sit.
SCORES = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1]])
TARGETS = [0, 0, 0, 1]
LABELS = ("walk", "run", "sit")


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Probabilities, list[int], list[str]]:
    """Up to 20 clips of 2 to 9 classes; no two scores of a clip are equal."""
    num_clips, num_classes = draw(st.integers(1, 20)), draw(st.integers(2, 9))
    ranks = [draw(st.permutations(range(1, num_classes + 1))) for _ in range(num_clips)]
    scores = np.array(ranks, np.float64)
    targets = draw(st.lists(st.integers(0, num_classes - 1), min_size=num_clips, max_size=num_clips))
    return scores / scores.sum(axis=1, keepdims=True), targets, [f"class{i}" for i in range(num_classes)]


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return compute_metrics(SCORES, TARGETS, LABELS, [FailedClip(source="bad.avi", message="bad.avi: is empty")])


def test_top1_is_the_share_of_clips_called_right(metrics: Metrics) -> None:
    assert (metrics.num_correct, metrics.num_clips, metrics.top1) == (3, 4, 0.75)


def test_the_mean_over_classes_leaves_out_classes_that_do_not_occur(metrics: Metrics) -> None:
    assert metrics.mean_class_accuracy == pytest.approx((2 / 3 + 1) / 2)


def test_the_confusion_has_a_row_for_each_true_class(metrics: Metrics) -> None:
    assert metrics.confusion == ((2, 1, 0), (0, 1, 0), (0, 0, 0))


def test_a_class_has_precision_recall_and_f1(metrics: Metrics) -> None:
    run = metrics.per_class["run"]
    assert (run.num_clips, run.num_correct, run.precision, run.recall) == (1, 1, 0.5, 1)
    assert run.f1 == pytest.approx(2 / 3)


def test_a_class_that_was_neither_tested_nor_called_has_zeros(metrics: Metrics) -> None:
    assert set(metrics.per_class["sit"].model_dump().values()) == {0}


def test_nll_is_in_nats(metrics: Metrics) -> None:
    assert metrics.nll == pytest.approx(-np.log([0.7, 0.6, 0.2, 0.8]).mean())


def test_failed_clips_count_in_num_failed_and_nowhere_else(metrics: Metrics) -> None:
    without = compute_metrics(SCORES, TARGETS, LABELS)
    assert (metrics.num_failed, without.num_failed) == (1, 0)
    assert metrics.model_copy(update={"num_failed": 0, "failed": ()}) == without


def test_metrics_are_plain_json(metrics: Metrics) -> None:
    text = metrics.model_dump_json()
    assert json.loads(text)["failed"] == [{"source": "bad.avi", "message": "bad.avi: is empty"}]
    assert Metrics.model_validate_json(text) == metrics


def test_files_keep_their_keys_and_attributes_their_old_names(metrics: Metrics) -> None:
    tree = json.loads(metrics.model_dump_json())
    assert tree == json.loads(json.dumps(metrics.model_dump()))
    assert tree["num_right"] == metrics.num_correct == metrics.num_right
    assert tree["per_class"]["run"]["num_right"] == metrics.per_class["run"].num_right
    assert tree["reliability"][0]["share_right"] == metrics.reliability[0].share_right
    assert "num_correct" not in json.dumps(tree)


@pytest.mark.parametrize(("target", "top5"), [(0, 1), (4, 1), (5, 0), (6, 0)])
def test_top5_asks_whether_the_class_is_among_the_five_likeliest(target: int, top5: float) -> None:
    scores = np.array([[0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.05]])
    assert compute_metrics(scores, [target], list("abcdefg")).top5 == top5


def test_with_five_classes_or_fewer_top5_is_always_right(metrics: Metrics) -> None:
    assert metrics.top5 == 1


def test_ece_is_the_gap_between_score_and_accuracy() -> None:
    scores = np.array([[0.9, 0.1]] * 10)
    assert compute_metrics(scores, [0] * 9 + [1], ["a", "b"]).ece == pytest.approx(0, abs=1e-6)
    assert compute_metrics(scores, [0] * 5 + [1] * 5, ["a", "b"]).ece == pytest.approx(0.4, abs=1e-6)


def test_ece_weighs_each_bin_by_its_clips() -> None:
    scores = np.array([[0.99, 0.01]] * 3 + [[0.6, 0.4]])
    assert compute_metrics(scores, [0, 0, 0, 1], ["a", "b"]).ece == pytest.approx((3 * 0.01 + 0.6) / 4, abs=1e-6)


def test_certainty_in_the_wrong_class_costs_much_but_is_finite() -> None:
    assert 20 < compute_metrics(np.array([[0.0, 1.0]]), [0], ["a", "b"]).nll < 40


@given(case=predictions())
@settings(deadline=None, max_examples=60)
def test_figures_agree_with_counting(case: tuple[Probabilities, list[int], list[str]]) -> None:
    scores, targets, labels = case
    found = compute_metrics(scores, targets, labels)
    places = [sorted(row, reverse=True).index(row[target]) for row, target in zip(scores, targets, strict=True)]
    assert found.num_correct == places.count(0)
    assert found.top5 == pytest.approx(sum(place < 5 for place in places) / len(places))
    assert sum(map(sum, found.confusion)) == found.num_clips == len(targets)
    assert sum(of_class.num_correct for of_class in found.per_class.values()) == found.num_correct


@given(case=predictions(), data=st.data())
@settings(deadline=None, max_examples=30)
def test_figures_do_not_depend_on_the_order_of_clips(
    case: tuple[Probabilities, list[int], list[str]], data: st.DataObject
) -> None:
    scores, targets, labels = case
    order = data.draw(st.permutations(range(len(targets))))
    there = compute_metrics(scores, targets, labels)
    back = compute_metrics(scores[order], [targets[i] for i in order], labels)
    assert back.confusion == there.confusion
    assert [back.ece, back.nll, back.top5] == pytest.approx([there.ece, there.nll, there.top5])


@pytest.mark.parametrize(
    ("scores", "targets", "labels"),
    [
        (np.zeros((0, 2)), [], ["a", "b"]),
        (np.full((2, 2), 0.5), [0], ["a", "b"]),
        (np.full((1, 3), 1 / 3), [0], ["a", "b"]),
        (np.full(2, 0.5), [0], ["a", "b"]),
    ],
)
def test_probabilities_of_another_shape_are_refused(
    scores: Probabilities, targets: list[int], labels: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"expected \d×\d probabilities \(1 clip or more\), got \("):
        compute_metrics(scores, targets, labels)


@given(predictions())
def test_the_bins_add_up_to_the_calibration_error(drawn: tuple[Probabilities, list[int], list[str]]) -> None:
    found = compute_metrics(*drawn)
    gaps = [each.num_clips * abs(each.mean_score - each.accuracy) for each in found.reliability]
    assert sum(each.num_clips for each in found.reliability) == found.num_clips
    assert found.ece == pytest.approx(sum(gaps) / found.num_clips, abs=1e-6)
