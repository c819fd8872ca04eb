from __future__ import annotations

import numpy as np
import pytest

from videoclf.evaluation.calibration import KEPT_SHARE, calibrate, choose_ridge_share
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.pipeline import average_windows, softmax
from videoclf.recipe.header import Calibration

HONEST_SHARES = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])


def honest_clips() -> tuple[Float32Array, list[int]]:
    """3,000 clips whose softmax is the truth: of a thousand with a score of 0.8, 800 are of that class."""
    logits = np.log(HONEST_SHARES).repeat(1000, axis=0).astype(np.float32)
    return logits, [int(i >= round(1000 * first)) for first, _ in HONEST_SHARES for i in range(1000)]


def clips_of(seed: int, count: int) -> tuple[Float32Array, list[int]]:
    """Clips of five classes, which are drawn from their scores."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, 5)).astype(np.float32)
    return logits, [int(rng.choice(5, p=row)) for row in softmax(logits)]


def varied_clips() -> tuple[Float32Array, list[int]]:
    """200 clips of five classes, each with another score."""
    return clips_of(0, 200)


def calibrated(logits: Float32Array, targets: list[int]) -> Calibration:
    return calibrate([[row] for row in logits], [[8]] * len(logits), targets)


def best_scores(logits: Float32Array, temperature: float) -> list[float]:
    return [float(average_windows([row], [8], temperature).max()) for row in logits]


@pytest.mark.parametrize("exaggeration", [0.5, 1.0, 2.0, 4.0])
def test_the_temperature_undoes_an_exaggeration_of_the_logits(exaggeration: float) -> None:
    logits, targets = honest_clips()
    one_step_of_the_grid = 0.03
    temperature = calibrated(logits * np.float32(exaggeration), targets).temperature
    assert temperature == pytest.approx(exaggeration, rel=one_step_of_the_grid)


def test_nine_of_ten_clips_reach_the_threshold() -> None:
    logits, targets = varied_clips()
    found = calibrated(logits, targets)
    reached = np.mean([score >= found.threshold for score in best_scores(logits, found.temperature)])
    assert reached == pytest.approx(KEPT_SHARE, abs=0.011)


def test_certain_and_always_wrong_is_cooled_as_far_as_the_grid_goes() -> None:
    logits = np.array([[9, 0], [0, 9]] * 10, np.float32)
    assert calibrated(logits, [1, 0] * 10).temperature == 8


def test_always_right_is_believed_the_more_clips_there_are() -> None:
    few, more, many = (
        calibrated(np.array([[1, 0], [0, 1]] * n, np.float32), [0, 1] * n).temperature for n in (1, 10, 1000)
    )
    assert few > more > many


def test_the_order_of_clips_does_not_matter() -> None:
    logits, targets = varied_clips()
    assert calibrated(logits[::-1], targets[::-1]) == calibrated(logits, targets)


def test_a_clips_windows_weigh_by_their_frames() -> None:
    right, wrong = np.array([3, 0], np.float32), np.array([0, 3], np.float32)
    mostly_right = calibrate([[right, wrong]] * 40, [[30, 2]] * 40, [0] * 40)
    mostly_wrong = calibrate([[right, wrong]] * 40, [[2, 30]] * 40, [0] * 40)
    assert mostly_right.temperature < 1 < mostly_wrong.temperature


def test_one_clip_chooses_no_temperature() -> None:
    assert calibrated(np.array([[0.0, 2.0]], np.float32), [1]).temperature == 1


def test_fewer_than_twenty_clips_choose_none() -> None:
    logits = np.array([[2, 0], [2, 0], [2, 0], [0, 2]], np.float32)
    assert calibrated(np.tile(logits, (4, 1)), [0] * 16).temperature == 1
    assert calibrated(np.tile(logits, (100, 1)), [0] * 400).temperature > 1


def test_where_scores_are_right_as_they_are_it_is_1() -> None:
    kept = [calibrated(*clips_of(seed, 24)).temperature for seed in range(20)]
    assert sum(temperature == 1 for temperature in kept) >= 15


def test_of_one_group_it_is_not_known_whether_others_are_like_it() -> None:
    logits, targets = honest_clips()
    exaggerated = [[row * np.float32(3)] for row in logits]
    lengths = [[8]] * len(targets)
    assert calibrate(exaggerated, lengths, targets, units=["a"] * len(targets)).temperature == 1
    assert calibrate(exaggerated, lengths, targets, units=["a", "b"] * (len(targets) // 2)).temperature > 2


def shares(num_clips: int, *, is_ridge_right: bool) -> float:
    """The share of a ridge of which all, or no clips are right, beside a network of which the other is true."""
    right, wrong = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    network, ridge = (wrong, right) if is_ridge_right else (right, wrong)
    frames = [[8]] * num_clips
    return choose_ridge_share([[network]] * num_clips, [[ridge]] * num_clips, frames, [0] * num_clips)


def test_many_clips_choose_the_share_of_the_ridge() -> None:
    assert shares(1000, is_ridge_right=True) == 0.8
    assert shares(1000, is_ridge_right=False) == 0.2


def test_where_both_are_right_or_clips_are_few_it_keeps_its_first_share() -> None:
    right = [[np.array([1, 0], np.float32)]] * 200
    assert choose_ridge_share(right, right, [[8]] * 200, [0] * 200) == 0.6
    assert shares(1, is_ridge_right=False) == 0.6


def test_a_clip_without_its_target_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        calibrated(np.zeros((3, 2), np.float32), [0, 1])


def test_where_scores_are_alike_the_threshold_is_not_rounded_above_them() -> None:
    logits = np.array([[0.2, 0]] * 20, np.float32)
    found = calibrated(logits, [0] * 20)
    assert min(best_scores(logits, found.temperature)) >= found.threshold


def test_a_score_of_nine_tenths_is_never_called_uncertain() -> None:
    assert calibrated(np.array([[9, 0]] * 20, np.float32), [0] * 20).threshold == 0.9
