"""Statistics of clips of different lengths."""

from __future__ import annotations

import torch

from videoclf.modeling.clip_statistics import clip_statistics, masked_mean

LENGTHS = torch.tensor([1, 4, 9])


def test_they_are_those_of_each_clip_alone_whatever_stands_in_the_padding() -> None:
    steps = torch.randn(3, 9, 5)
    for filler in (0.0, torch.inf, torch.nan):
        padded = steps.clone()
        for clip, length in enumerate(LENGTHS):
            padded[clip, length:] = filler
        found = clip_statistics(padded, LENGTHS)
        for clip, length in enumerate(LENGTHS):
            own = steps[clip, :length].double()
            change = own.diff(dim=0).abs().mean(0) if length > 1 else torch.zeros(5)
            expected = torch.cat([own.mean(0), own.std(0, correction=0), change])
            torch.testing.assert_close(found[clip].double(), expected.double(), atol=1e-5, rtol=1e-5)


def test_a_clip_of_one_step_has_no_deviation_and_no_change() -> None:
    assert clip_statistics(torch.ones(1, 1, 3), torch.tensor([1])).tolist() == [[1, 1, 1, 0, 0, 0, 0, 0, 0]]


def test_a_floor_gives_gradients_an_end() -> None:
    steps = torch.ones(1, 1, 3, requires_grad=True)
    found = clip_statistics(steps, torch.tensor([1]), variance_floor=1e-4)
    [slope] = torch.autograd.grad(found.sum(), steps)
    assert slope.isfinite().all()


def test_the_mean_of_nothing_is_zero() -> None:
    assert masked_mean(torch.ones(1, 2, 3), torch.zeros(1, 2, 1, dtype=torch.bool)).tolist() == [[0, 0, 0]]
