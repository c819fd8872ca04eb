from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from videoclf.recipe.training import Training
from videoclf.training.loop.loss import Loss, class_weights

LOGITS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 0, 0, 2])
TRUTH = one_hot(CLASSES, 3).float()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_by_default_it_is_torchs(smoothing: float) -> None:
    settings = Training(label_smoothing=smoothing)
    expected = cross_entropy(LOGITS, CLASSES, label_smoothing=smoothing)
    assert torch.equal(Loss(settings, TRUTH, has_soft_targets=False)(LOGITS, TRUTH), expected)
    torch.testing.assert_close(Loss(settings, TRUTH, has_soft_targets=True)(LOGITS, TRUTH), expected)


def test_a_mixed_clip_costs_what_its_classes_cost_by_their_shares() -> None:
    mixed = 0.3 * TRUTH + 0.7 * TRUTH.flip(0)
    parts = (cross_entropy(LOGITS, CLASSES), cross_entropy(LOGITS, CLASSES.flip(0)))
    loss = Loss(Training(), TRUTH, has_soft_targets=True)(LOGITS, mixed)
    torch.testing.assert_close(loss, 0.3 * parts[0] + 0.7 * parts[1])


def test_weights_are_inverse_to_frequency_and_one_in_the_mean() -> None:
    weights = class_weights(TRUTH)
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 0, 2]))
    torch.testing.assert_close(weights[CLASSES].mean(), torch.tensor(1.0))


@pytest.mark.parametrize("has_soft_targets", [False, True])
def test_a_rare_class_weighs_more_even_alone_in_a_batch(has_soft_targets: bool) -> None:
    loss = Loss(Training(class_balance="loss"), TRUTH, has_soft_targets=has_soft_targets)
    expected = 2 * cross_entropy(LOGITS[3:], CLASSES[3:])
    torch.testing.assert_close(loss(LOGITS[3:], TRUTH[3:]), expected)
