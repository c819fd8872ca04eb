from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from videoclf.modeling.padding import length_mask, pad_sequences
from videoclf.recipe.augment import Augment
from videoclf.training.examples.mixing import mix_clips

LENGTHS = (3, 7, 5)
TRUTH = torch.eye(3)


def batch(*shape: int) -> tuple[Tensor, Tensor]:
    """Clips that are constant: 1, 2, 4; sums tell who was mixed. What pads them must never be seen."""
    steps, num_steps = pad_sequences([torch.full((n, *shape), 2.0**i) for i, n in enumerate(LENGTHS)])
    steps[~length_mask(num_steps, 7)] = torch.nan
    return steps, num_steps


@pytest.mark.parametrize("spec", [Augment(mixup_alpha=0.4), Augment(cutmix_alpha=1.0)], ids=["mixup", "cutmix"])
@pytest.mark.parametrize("shape", [(6,), (3, 8, 12)], ids=["features", "frames"])
def test_labels_are_mixed_as_clips_are_and_padding_is_never_seen(spec: Augment, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    num_mixed = 0
    for _ in range(30):
        steps, num_steps = batch(*shape)
        mixed, truth = mix_clips(steps, num_steps, TRUTH, spec, rng)
        assert mixed.shape == steps.shape
        torch.testing.assert_close(truth.sum(dim=1), torch.ones(3))
        for clip, length in enumerate(LENGTHS):
            expected = float(truth[clip] @ torch.tensor([1.0, 2.0, 4.0]))
            assert mixed[clip, :length].mean() == pytest.approx(expected, rel=1e-4)
        num_mixed += int((truth.max(dim=1).values < 1).sum())
    assert num_mixed > 20


def test_padding_stays_zero() -> None:
    steps, num_steps = pad_sequences([torch.ones(n, 4) for n in LENGTHS])
    for spec in (Augment(mixup_alpha=1), Augment(cutmix_alpha=1)):
        mixed, _ = mix_clips(steps, num_steps, TRUTH, spec, np.random.default_rng(1))
        assert torch.equal(mixed, steps)


def test_a_partner_is_seen_from_its_beginning_to_its_end() -> None:
    rising, flat = torch.arange(8.0)[:, None], torch.zeros(4, 1)
    steps, num_steps = pad_sequences([rising, flat])
    for seed in range(8):
        mixed, truth = mix_clips(steps, num_steps, torch.eye(2), Augment(mixup_alpha=1), np.random.default_rng(seed))
        share = truth[1, 0]
        if 0 < share < 1:
            torch.testing.assert_close(mixed[1, :4, 0], share * torch.tensor([1.0, 3.0, 5.0, 7.0]))
            return
    pytest.fail("never mixed")


def test_all_frames_of_a_clip_are_cut_alike() -> None:
    steps, num_steps = batch(3, 8, 12)
    mixed, _ = mix_clips(steps, num_steps, TRUTH, Augment(cutmix_alpha=1), np.random.default_rng(3))
    for clip, length in enumerate(LENGTHS):
        assert torch.equal(mixed[clip, :length], mixed[clip, :1].expand(length, -1, -1, -1))


def test_what_is_off_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    steps, num_steps = batch(4)
    mixed, truth = mix_clips(steps, num_steps, TRUTH, Augment(), rng)
    assert mixed is steps
    assert truth is TRUTH
    assert rng.random() == np.random.default_rng(0).random()


def test_a_batch_of_one_is_left_as_it_is() -> None:
    steps, num_steps = pad_sequences([torch.rand(5, 4)])
    mixed, truth = mix_clips(steps, num_steps, torch.eye(3)[:1], Augment(mixup_alpha=1), np.random.default_rng(0))
    torch.testing.assert_close(mixed, steps)
    torch.testing.assert_close(truth, torch.eye(3)[:1])
