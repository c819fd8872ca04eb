"""The GRU and its poolings against torch's own packed GRU, and against padding."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from videoclf.modeling.temporal.gru import (
    AttentionPooling,
    GruLayer,
    LastPooling,
    MeanPooling,
    Standardise,
    StandardisedProjection,
    StatisticsPooling,
    TemporalModel,
    reverse_within_length,
)
from videoclf.recipe.temporal import Temporal

LENGTHS = torch.tensor([4, 1, 7])


def test_a_layer_equals_torchs_packed_bidirectional_gru() -> None:
    ours = GruLayer(5, 6, bidirectional=True)
    theirs = nn.GRU(5, 6, batch_first=True, bidirectional=True)
    assert ours.backwards is not None
    weights = dict(ours.forwards.state_dict().items())
    weights |= {f"{name}_reverse": tensor for name, tensor in ours.backwards.state_dict().items()}
    theirs.load_state_dict(weights)
    steps = torch.randn(3, 7, 5)
    packed, _ = theirs(pack_padded_sequence(steps, LENGTHS, batch_first=True, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first=True)
    states = ours(steps, LENGTHS)
    for clip, length in enumerate(LENGTHS):
        torch.testing.assert_close(states[clip, :length], expected[clip, :length], atol=1e-6, rtol=1e-5)


def test_reversing_turns_each_clip_around_within_its_length() -> None:
    steps = torch.arange(14.0).view(2, 7, 1)
    turned = reverse_within_length(steps, torch.tensor([3, 7]))
    assert turned[0, :, 0].tolist() == [2, 1, 0, 3, 4, 5, 6]
    assert turned[1, :, 0].tolist() == [13, 12, 11, 10, 9, 8, 7]


def test_last_pooling_takes_each_directions_final_state() -> None:
    steps = torch.randn(3, 7, 4)
    pooled = LastPooling(2)(steps, LENGTHS)
    assert torch.equal(pooled[0], torch.cat([steps[0, 3, :2], steps[0, 0, 2:]]))
    assert torch.equal(pooled[2], torch.cat([steps[2, 6, :2], steps[2, 0, 2:]]))


def test_mean_pooling_is_the_mean_over_a_clips_own_steps() -> None:
    steps = torch.randn(3, 7, 4)
    assert torch.allclose(MeanPooling()(steps, LENGTHS)[0], steps[0, :4].mean(0))


def test_statistics_are_mean_deviation_and_mean_absolute_change() -> None:
    steps = torch.randn(3, 7, 4)
    mean, deviation, change = StatisticsPooling()(steps, LENGTHS).chunk(3, dim=1)
    own = steps[0, :4]
    torch.testing.assert_close(mean[0], own.mean(0))
    torch.testing.assert_close(deviation[0], own.std(0, correction=0), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(change[0], own.diff(dim=0).abs().mean(0))
    assert change[1].eq(0).all()  # a clip of one step


def test_standardised_features_have_mean_zero_and_deviation_nearly_one() -> None:
    steps = 3 + 7 * torch.randn(1, 1000, 4)
    layer = Standardise(4)
    assert torch.equal(layer(steps), steps)  # until it is told
    layer.set_statistics(steps[0].mean(0), steps[0].std(0, correction=0))
    assert torch.allclose(layer(steps)[0].mean(0), torch.zeros(4), atol=1e-4)
    assert torch.allclose(layer(steps)[0].std(0), torch.ones(4), atol=0.02)


def test_standardised_and_projected_in_one_product_is_the_same_as_in_two() -> None:
    spec = Temporal(projection_size=6, input_norm="standardise")
    projection = TemporalModel(40, spec).projection.eval()
    assert isinstance(projection, StandardisedProjection)
    cast(Standardise, projection[0]).set_statistics(3 * torch.rand(40), 2 * torch.rand(40))
    steps = 3 * torch.rand(2, 5, 40)
    in_one, in_two = projection(steps), nn.Sequential(*projection)(steps)
    torch.testing.assert_close(in_one, in_two, atol=1e-5, rtol=1e-5)
    weights = list(projection.parameters())
    gradients = [torch.autograd.grad((output * steps[..., :6]).sum(), weights) for output in (in_one, in_two)]
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_statistics_stand_beside_what_the_gru_gives() -> None:
    spec = Temporal(projection_size=6, hidden_size=5, bidirectional=True, statistics=True)
    model = TemporalModel(4, spec)
    assert model.output_size == 2 * 5 + 3 * 6
    assert model(torch.randn(3, 7, 4), LENGTHS).shape == (3, model.output_size)


@pytest.mark.parametrize("pooling", [MeanPooling(), LastPooling(4), AttentionPooling(4), StatisticsPooling()])
@pytest.mark.parametrize("junk", [1e30, torch.inf, torch.nan])
def test_no_pooling_reads_beyond_a_clips_length(pooling: nn.Module, junk: float) -> None:
    steps = torch.randn(3, 7, 4)
    spoilt = steps.clone()
    for clip, length in enumerate(LENGTHS):
        spoilt[clip, length:] = junk
    assert torch.equal(pooling(steps.nan_to_num(), LENGTHS), pooling(spoilt, LENGTHS))


@pytest.mark.parametrize("pooling", ["last", "mean", "attention"])
def test_the_gru_hears_the_order_of_steps(pooling: str) -> None:
    model = TemporalModel(5, Temporal.model_validate({"pooling": pooling})).eval()
    steps, length = torch.randn(1, 9, 5), torch.tensor([9])
    assert not torch.allclose(model(steps, length), model(steps.flip(1), length), atol=1e-3)


def test_the_mean_baseline_does_not() -> None:
    model = TemporalModel(5, Temporal(kind="mean")).eval()
    steps, length = torch.randn(1, 9, 5), torch.tensor([9])
    torch.testing.assert_close(model(steps, length), model(steps.flip(1), length), atol=1e-6, rtol=1e-5)


def test_the_mean_baseline_has_no_gru() -> None:
    names = [name for name, _ in TemporalModel(5, Temporal(kind="mean", num_layers=3)).named_parameters()]
    assert not [name for name in names if name.startswith("layers")]
