from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from videoclf.recipe.augment import Augment
from videoclf.training.examples.augmentation import FrameAugmentation, draw_speed, nearest_steps, vary_steps

KINDS: list[dict[str, Any]] = [
    {"crop_scale_min": 0.3},
    {"brightness": 0.5},
    {"contrast": 0.5},
    {"saturation": 0.5},
    {"hue": 0.3},
    {"rand_augment_ops": 2, "rand_augment_magnitude": 15},
    {"erasing_probability": 1.0},
]
ALL_AT_ONCE = {key: value for kind in KINDS for key, value in kind.items()}


def pictures(num_frames: int = 5) -> Tensor:
    """A still clip of byte colours."""
    frame = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 3, 24, 32))).float() / 255
    return frame.expand(num_frames, -1, -1, -1).clone()


@pytest.mark.parametrize("kind", [*KINDS, ALL_AT_ONCE], ids=lambda kind: next(iter(kind)))
def test_a_clip_that_stands_still_stays_so_and_is_varied(kind: dict[str, Any]) -> None:
    augment = FrameAugmentation(Augment.model_validate(kind))
    still = pictures()
    given = still.clone()
    num_changed = 0
    for seed in range(12):
        varied = augment(still, np.random.default_rng(seed))
        assert torch.equal(varied, varied[:1].expand_as(varied))
        assert varied.shape == still.shape
        assert varied.dtype == torch.float32
        assert 0 <= varied.min() <= varied.max() <= 1
        num_changed += not torch.allclose(varied, still)
    assert num_changed >= 6
    assert torch.equal(still, given)


def test_all_frames_are_cut_and_erased_at_the_same_place() -> None:
    rising = torch.linspace(0.6, 1, 4).view(4, 1, 1, 1).expand(4, 3, 24, 32)
    augment = FrameAugmentation(Augment(erasing_probability=1.0))
    erased = (augment(rising, np.random.default_rng(0)) == 0.5).any(dim=1)
    assert 0 < erased[0].sum() < erased[0].numel()
    assert torch.equal(erased, erased[:1].expand_as(erased))


def test_it_depends_on_the_generator_handed_in_and_leaves_torchs_alone() -> None:
    augment = FrameAugmentation(Augment.model_validate(ALL_AT_ONCE))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = augment(pictures(), np.random.default_rng(7))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert torch.equal(augment(pictures(), np.random.default_rng(7)), first)
    assert not torch.equal(augment(pictures(), np.random.default_rng(8)), first)


def test_nothing_asked_for_changes_nothing() -> None:
    spec = Augment()
    rng = np.random.default_rng(0)
    assert not spec.augments_frames
    assert not spec.varies_time
    assert torch.equal(FrameAugmentation(spec)(pictures(), rng), pictures())
    untouched = np.random.default_rng(0)
    steps = torch.arange(9)
    assert vary_steps(steps, spec, untouched) is steps
    assert draw_speed(spec, untouched) == 1
    assert untouched.random() == np.random.default_rng(0).random()


def test_a_clip_is_as_often_slower_as_faster() -> None:
    rng = np.random.default_rng(0)
    speeds = np.array([draw_speed(Augment(speed=0.25), rng) for _ in range(400)])
    assert 0.8 <= speeds.min() < 0.81
    assert 1.24 < speeds.max() <= 1.25
    assert 0.45 < (speeds < 1).mean() < 0.55


def test_steps_are_stretched_by_speed() -> None:
    rng = np.random.default_rng(0)
    lengths = set()
    for _ in range(100):
        steps = vary_steps(torch.arange(10), Augment(speed=0.25), rng)
        assert steps.tolist() == sorted(steps.tolist())
        lengths.add(len(steps))
    assert lengths == {8, 9, 10, 11, 12}
    assert vary_steps(torch.arange(1), Augment(speed=3), rng)[0] == 0


def test_jittered_steps_are_their_neighbours() -> None:
    rng = np.random.default_rng(0)
    steps = torch.arange(200)
    moved = vary_steps(steps, Augment(temporal_jitter=1), rng) - steps
    assert set(moved.tolist()) == {-1, 0, 1}
    assert 0.4 < (moved != 0).float().mean() < 0.6


def test_the_nearest_steps_are_even_and_within_the_clip() -> None:
    for given in range(1, 9):
        for wanted in range(1, 9):
            steps = nearest_steps(given, wanted)
            assert 0 <= int(steps.min()) <= int(steps.max()) < given
            assert len(set(steps.diff().tolist())) <= 2
    assert nearest_steps(5, 5).tolist() == [0, 1, 2, 3, 4]
