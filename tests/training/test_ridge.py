"""Ridge regression as a classifier, against fitting anew without each group."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoclf.modeling.heads.ridge_layer import RidgeLayer
from videoclf.training.ridge import Ridge, fit_ridge


def problem(num_rows: int = 24, num_features: int = 9) -> tuple[np.ndarray, np.ndarray, list[int]]:
    rng = np.random.default_rng(0)
    targets = np.arange(num_rows) % 3
    rows = rng.normal(size=(num_rows, num_features)) + np.eye(3)[targets] @ rng.normal(size=(3, num_features))
    return rows.astype(np.float32), np.eye(3, dtype=np.int64)[targets], [i // 4 for i in range(num_rows)]


def fit(rows: np.ndarray, truth: np.ndarray, groups: list[int], **more: object) -> Ridge:
    return fit_ridge(rows, truth, groups, [[i] for i in range(len(rows))], **more)  # type: ignore[arg-type]


def textbook(rows: np.ndarray, truth: np.ndarray, penalty: float, fresh: np.ndarray) -> np.ndarray:
    """The ridge with an intercept that has no penalty, in the space of features."""
    centred, wanted = rows - rows.mean(axis=0), 2.0 * truth - 1
    spread = penalty * rows.shape[1] * np.eye(rows.shape[1])
    weights = np.linalg.solve(centred.T @ centred + spread, centred.T @ (wanted - wanted.mean(axis=0)))
    scores: np.ndarray = (fresh - rows.mean(axis=0)) @ weights + wanted.mean(axis=0)
    return scores


def test_its_scores_are_those_of_the_textbook() -> None:
    rows, truth, groups = problem()
    standardised = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    fitted = fit(rows, truth, groups, penalties=(0.1,))
    np.testing.assert_allclose(fitted.scores(rows), textbook(standardised, truth, 0.1, standardised), atol=2e-3)


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_a_group_that_is_left_out_is_scored_by_a_classifier_that_never_saw_it(penalty: float) -> None:
    rows, truth, groups = problem()
    standardised = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    left_out = fit(rows, truth, groups, penalties=(penalty,)).left_out
    for group in set(groups):
        out = np.array(groups) == group
        anew = textbook(standardised[~out], truth[~out], penalty, standardised[out])
        np.testing.assert_allclose(left_out[out], anew, atol=3e-3)


def test_rows_of_weight_two_count_twice() -> None:
    rows, truth, groups = problem()
    twice = [*range(len(rows)), *range(8)]
    weights = np.where(np.arange(len(rows)) < 8, 2.0, 1.0)
    weighted = fit(rows, truth, groups, row_weights=weights, penalties=(0.1,))
    # repeated rows move the mean and deviation too, so both are standardised before
    repeated = fit(rows[twice], truth[twice], [groups[i] for i in twice], penalties=(0.1,))
    agreement = np.corrcoef(weighted.scores(rows).ravel(), repeated.scores(rows).ravel())[0, 1]
    assert agreement > 0.999


def test_where_features_tell_nothing_its_logits_are_close_to_zero() -> None:
    _, truth, groups = problem(60)
    noise = np.random.default_rng(1).normal(size=(60, 9)).astype(np.float32)
    assert np.abs(fit(noise, truth, groups).logits(noise)).max() < 0.5


def test_where_they_tell_everything_its_logits_are_confident() -> None:
    _, truth, groups = problem(60)
    rows = np.repeat(truth, 20, axis=1).astype(np.float32)
    logits = fit(rows, truth, groups).logits(rows)
    assert (logits.argmax(axis=1) == truth.argmax(axis=1)).all()
    assert np.ptp(logits, axis=1).min() > 3


def test_the_layer_computes_its_logits() -> None:
    steps = torch.randn(5, 7, 3)
    layer = RidgeLayer(3, 3, 0.5)
    statistics = torch.cat([steps.mean(1), steps.std(1, correction=0), steps.diff(dim=1).abs().mean(1)], dim=1).numpy()
    fitted = fit(statistics, np.eye(3, dtype=np.int64)[[0, 1, 2, 0, 1]], [0, 1, 2, 3, 4])
    layer.set_weights(*map(torch.from_numpy, fitted.layer_weights()))
    np.testing.assert_allclose(layer(steps, torch.full((5,), 7)), fitted.logits(statistics), atol=1e-4)


def test_several_labels_have_a_likelihood_of_their_own() -> None:
    rows, truth, groups = problem()
    both = truth | np.roll(truth, 1, axis=1)
    assert fit(rows, both, groups, objective="sigmoid").left_out.shape == (24, 3)
