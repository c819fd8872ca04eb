from __future__ import annotations

import numpy as np
import pytest

from videoclf.evaluation.calibration import calibrate
from videoclf.evaluation.likelihood import mean_nll, top1_accuracy, truth_matrix
from videoclf.evaluation.multilabel import compute_multilabel_metrics
from videoclf.inference.pipeline import average_windows, sigmoid

LABELS = ("jump", "sing", "walk")
SCORES = np.array([[0.9, 0.2, 0.8], [0.3, 0.6, 0.4], [0.1, 0.7, 0.2], [0.4, 0.1, 0.3]])
TARGETS = [(0, 2), (1,), (0, 2), (0,)]


def test_a_clip_is_correct_if_its_best_label_is_one_of_its_own() -> None:
    metrics = compute_multilabel_metrics(SCORES, TARGETS, LABELS)
    assert (metrics.num_correct, metrics.top1, metrics.top5) == (3, 0.75, 1)
    assert metrics.confusion == ((2, 0, 0), (0, 1, 0), (0, 1, 0))  # the third clip: of its own, walk is likeliest


def test_labels_count_as_given_from_one_half_on() -> None:
    rows = compute_multilabel_metrics(SCORES, TARGETS, LABELS).per_class
    assert [(row.num_clips, row.num_correct) for row in rows.values()] == [(3, 1), (1, 1), (2, 1)]
    assert [row.precision for row in rows.values()] == pytest.approx([1, 0.5, 1])
    assert [row.recall for row in rows.values()] == pytest.approx([1 / 3, 1, 0.5])


def test_average_precision_and_likelihood_by_hand() -> None:
    metrics = compute_multilabel_metrics(SCORES, TARGETS, LABELS)
    by_label = [(1 + 1 + 3 / 4) / 3, 1 / 2, (1 + 2 / 4) / 2]  # ranks of the clips that have it
    assert metrics.mean_average_precision == pytest.approx(np.mean(by_label))
    truth = truth_matrix(TARGETS, 3)
    expected = -(truth * np.log(SCORES) + (1 - truth) * np.log(1 - SCORES)).mean()
    assert metrics.nll == pytest.approx(expected)
    assert mean_nll(SCORES, TARGETS, "sigmoid") == pytest.approx(expected)
    assert top1_accuracy(SCORES, TARGETS) == 0.75


def test_labels_that_do_not_occur_count_nowhere() -> None:
    metrics = compute_multilabel_metrics(SCORES[:1], [(0,)], LABELS)
    assert metrics.mean_average_precision == 1
    assert metrics.mean_class_accuracy == 1


def test_scores_are_independent_and_never_overflow() -> None:
    logits = np.array([-1000.0, 0.0, 1000.0], np.float32)
    assert sigmoid(logits).tolist() == [0, 0.5, 1]
    windows = [np.array([2.0, -1.0], np.float32), np.array([0.0, 1.0], np.float32)]
    averaged = average_windows(windows, [1, 3], 2.0, "sigmoid")
    np.testing.assert_allclose(averaged, 1 / (1 + np.exp([-1, 0.5])) / 4 + 1 / (1 + np.exp([0, -0.5])) * 3 / 4)


def test_calibration_undoes_an_exaggeration_and_keeps_the_threshold_to_one_half() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (400, 4)).astype(np.float32)
    drawn = rng.random(logits.shape) < sigmoid(logits)
    drawn[np.arange(400), logits.argmax(axis=1)] |= ~drawn.any(axis=1)
    targets = [tuple(np.flatnonzero(row).tolist()) for row in drawn]
    found = calibrate([[row * 3] for row in logits], [[8]] * 400, targets, "sigmoid")
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert found.threshold <= 0.5


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 4×2 probabilities"):
        compute_multilabel_metrics(SCORES, TARGETS, LABELS[:2])
