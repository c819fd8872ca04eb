"""The ridge probe against its textbook form."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoclf.training.linear_probe import RidgeProbe, choose_penalty, clip_statistics


def test_statistics_run_over_all_windows_of_a_clip() -> None:
    steps = torch.randn(7, 3)
    whole, parted = clip_statistics([steps]), clip_statistics([steps[:4], steps[4:]])
    np.testing.assert_array_equal(whole, parted)
    np.testing.assert_allclose(whole[:3], steps.mean(0), rtol=1e-6)
    np.testing.assert_allclose(whole[3:6], steps.std(0, correction=0), rtol=1e-6)
    np.testing.assert_allclose(whole[6:], steps.diff(dim=0).abs().mean(0), rtol=1e-6)


def test_a_clip_of_one_step_changes_by_nothing() -> None:
    assert clip_statistics([torch.ones(1, 3)]).tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0]


def test_in_the_space_of_clips_it_is_the_ridge_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    rows, fresh, targets = rng.normal(size=(20, 6)), rng.normal(size=(5, 6)), rng.integers(3, size=20).tolist()
    probe = RidgeProbe(rows, targets, 3, penalty=0.1)
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-5
    x, wanted = (rows - mean) / scale, 2 * np.eye(3)[targets] - 1
    weights = np.linalg.solve(x.T @ x + 0.1 * 6 * np.eye(6), x.T @ (wanted - wanted.mean(axis=0)))
    np.testing.assert_allclose(probe.scores(fresh), (fresh - mean) / scale @ weights + wanted.mean(axis=0))


@pytest.mark.parametrize("num_noise", [0, 200])
def test_the_penalty_is_chosen_on_the_validation_clips(num_noise: int) -> None:
    rng = np.random.default_rng(1)
    targets = [0, 1] * 10
    rows = np.concatenate([np.array(targets)[:, None] + rng.normal(size=(20, 1)), rng.normal(size=(20, num_noise))], 1)
    chosen = choose_penalty(rows[:10], targets[:10], rows[10:], targets[10:], 2)
    wrong = {
        penalty: (RidgeProbe(rows[:10], targets[:10], 2, penalty).scores(rows[10:]).argmax(1) != targets[10:]).sum()
        for penalty in (0.003, 0.1, 3.0, chosen)
    }
    assert wrong[chosen] == min(wrong.values())
