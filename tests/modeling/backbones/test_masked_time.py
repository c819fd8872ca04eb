"""3D networks rewritten so that padding never counts."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops.misc import Permute

from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.masked_layers import MaskedBatchNorm3d, MaskedConv3d, MaskedMaxPool3d, fill_beyond
from videoclf.modeling.backbones.masked_time import mask_time
from videoclf.modeling.padding import length_mask


class Block(nn.Module):
    """A residual block whose convolutions reach over time, and which strides."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 6, 3, stride=(stride, 1, 1), padding=1)
        self.norm = nn.BatchNorm3d(6)
        self.short = nn.Conv3d(3, 6, 1, stride=(stride, 1, 1))
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm(self.conv(x))
        out += self.short(x)
        result: Tensor = self.act(out)
        return result


class Standardised(nn.Conv3d):
    """A convolution with a forward of its own, which a plain one in its place would lose."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) - 1


class MinusMean(nn.Identity):
    """Something else than its base."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(dim=2, keepdim=True)


def test_what_is_rewritten_computes_the_same() -> None:
    network = Block().eval()
    clips = torch.randn(2, 3, 5, 4, 4)
    expected = network(clips)
    masked, lengths = mask_time(copy.deepcopy(network))(clips, None)
    torch.testing.assert_close(masked, expected)
    assert lengths is None


def test_the_names_of_the_weights_stay() -> None:
    network = Block()
    names = list(network.state_dict())
    assert list(mask_time(network).state_dict()) == names


def test_a_clips_end_is_as_if_nothing_followed() -> None:
    masked = mask_time(Block()).eval()
    clip = torch.randn(1, 3, 4, 4, 4)
    padded = torch.cat([clip, torch.full((1, 3, 3, 4, 4), torch.nan)], dim=2)
    (alone, _), (batched, _) = masked(clip, None), masked(padded, torch.tensor([4]))
    torch.testing.assert_close(batched[:, :, :4], alone)


@pytest.mark.parametrize("num_frames", [1, 2, 7, 8])
def test_lengths_are_halved_by_a_stride_upwards(num_frames: int) -> None:
    masked = mask_time(Block(stride=2), temporal_stride=2).eval()
    features, lengths = masked(torch.randn(1, 3, 9, 4, 4), torch.tensor([num_frames]))
    assert features.shape[2] == 5
    assert lengths.tolist() == [-(-num_frames // 2)]


def test_in_training_padding_changes_no_statistic_and_no_gradient() -> None:
    torch.manual_seed(0)
    plain = mask_time(Block(stride=2), temporal_stride=2).train()
    padded = copy.deepcopy(plain)
    clips = torch.randn(2, 3, 5, 4, 4)
    features, _ = plain(clips, None)
    torch.autograd.backward(features.square().sum())
    longer = torch.cat([clips, torch.full((2, 3, 4, 4, 4), torch.nan)], dim=2)
    features, lengths = padded(longer, torch.tensor([5, 5]))
    torch.autograd.backward(fill_beyond(features, lengths).square().sum())
    for (name, mine), theirs in zip(plain.state_dict().items(), padded.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, msg=name)
    for (name, mine), theirs in zip(plain.named_parameters(), padded.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-3, msg=name)  # gradients go to 170


def test_one_value_a_channel_has_no_statistics_and_uses_the_running_ones() -> None:
    norm = MaskedBatchNorm3d(2).train()
    x = torch.randn(1, 2, 3, 1, 1)
    torch.testing.assert_close(norm(x, torch.tensor([1]))[:, :, :1], copy.deepcopy(norm).eval()(x)[:, :, :1])
    assert norm.running_mean is not None
    assert norm.running_mean.tolist() == [0, 0]


@pytest.mark.parametrize(("window", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (1, 1, 0)])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 6, 7])
def test_pooling_leaves_a_step_for_every_stride_begun(window: int, stride: int, padding: int, num_frames: int) -> None:
    pool = MaskedMaxPool3d(nn.MaxPool3d((window, 1, 1), (stride, 1, 1), (padding, 0, 0)))
    clip = -torch.rand(1, 2, num_frames, 2, 2)  # below zero: a fill of zeros would win
    padded = torch.cat([clip, torch.full((1, 2, 4, 2, 2), 9.0)], dim=2)
    alone = pool(clip)
    assert alone.shape[2] == -(-num_frames // stride)
    torch.testing.assert_close(pool(padded, torch.tensor([num_frames]))[:, :, : alone.shape[2]], alone)


def test_a_removed_stride_leaves_the_steps_that_were_there() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv3d(4, 4, 3, 2, 1), nn.Conv3d(4, 2, 3, 1, 1)
    ).eval()
    clips = torch.randn(1, 3, 13, 16, 16)
    sparse, _ = mask_time(copy.deepcopy(network), temporal_stride=4)(clips, None)
    for temporal_stride in (1, 2):
        dense, _ = mask_time(copy.deepcopy(network), temporal_stride=temporal_stride)(clips, None)
        torch.testing.assert_close(dense[:, :, :: 4 // temporal_stride], sparse)


@pytest.mark.parametrize(
    ("layer", "complaint"),
    [
        (nn.InstanceNorm3d(3), "0: InstanceNorm3d may mix the steps of a clip"),
        (nn.GroupNorm(1, 3), "0: GroupNorm may mix the steps"),
        (nn.AvgPool3d(3, 1, 1), "0: AvgPool3d may mix the steps"),
        (nn.AdaptiveAvgPool3d(1), "0: AdaptiveAvgPool3d may mix the steps"),
        (nn.Flatten(), "0: Flatten may mix the steps"),
        (nn.Conv3d(3, 3, 3), "0: a kernel of 3 in time needs padding that keeps the edges"),
        (
            nn.Conv3d(3, 3, 3, padding=1, padding_mode="replicate"),
            "0: padding = .*: give numbers, such as 1, and zeros",
        ),
        (nn.Conv3d(3, 3, 3, padding="same"), "0: padding = 'same', zeros: give numbers"),
        (nn.MaxPool3d(3, 1), "0: a kernel of 3 in time needs padding that keeps the edges"),
        (nn.MaxPool3d(2, 2, ceil_mode=True), "0: ceil_mode and return_indices are not supported"),
        (nn.BatchNorm3d(3, track_running_stats=False), "0: without running statistics a batch norm mixes the clips"),
        (nn.utils.parametrizations.weight_norm(nn.Conv3d(3, 3, 1)), "0: does more than a Conv3d"),
        (Standardised(3, 3, 1), "0: does more than a Conv3d"),
        (MinusMean(), "mean: may mix the steps of a clip; use a module"),
        (nn.Linear(3, 3), "0: Linear may mix the steps"),
        (Permute([0, 2, 1, 3, 4]), "0: Permute may mix the steps"),
    ],
)
def test_a_layer_that_could_mix_padding_in_is_refused_by_name(layer: nn.Module, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        mask_time(nn.Sequential(layer))


def test_a_function_that_could_mix_padding_in_is_refused() -> None:
    class Mixes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(dim=2, keepdim=True)

    with pytest.raises(ValueError, match="mean: may mix the steps of a clip; use a module"):
        mask_time(Mixes())


class InPlace(nn.Module):
    """Changes in place what it uses afterwards."""

    def __init__(self, by: str) -> None:
        super().__init__()
        self.by = by
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.by == "layer":
            self.act(x)
        else:
            y = x
            y += 1
        return x * 2


@pytest.mark.parametrize("by", ["layer", "operator"])
def test_a_change_in_place_that_is_seen_elsewhere_is_refused(by: str) -> None:
    with pytest.raises(ValueError, match="modifies in place a value that is used elsewhere"):
        mask_time(nn.Sequential(nn.Conv3d(3, 3, 1), InPlace(by)))


def test_joining_along_time_is_refused() -> None:
    class Joins(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x, x], dim=2)

    with pytest.raises(ValueError, match="cat: may mix the steps of a clip; use a module"):
        mask_time(Joins())


def test_a_strided_layer_that_is_used_twice_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(3, 3, 3, (2, 1, 1), 1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.conv(self.conv(x))
            return result

    with pytest.raises(ValueError, match="conv: is used twice"):
        mask_time(Twice(), temporal_stride=4)


def test_a_network_of_two_inputs_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, num_steps: Tensor) -> Tensor:
            return x * num_steps

    with pytest.raises(ValueError, match="has 2 inputs"):
        mask_time(Two())


def test_activations_called_as_functions_are_followed() -> None:
    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = torch.relu(self.conv(x)) + self.conv(x).relu() * torch.sigmoid(x)
            return result

    network = Calls().eval()
    clips = torch.randn(1, 3, 4, 2, 2)
    expected = network(clips)
    torch.testing.assert_close(mask_time(network)(clips, None)[0], expected)


def test_a_branch_on_values_is_refused() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.mean() > 0 else -x

    with pytest.raises(ValueError, match="the network's code cannot be traced"):
        mask_time(Branches())


def test_a_network_is_taken_over_once() -> None:
    network = Block()
    mask_time(network)
    with pytest.raises(ValueError, match="is already used by a backbone; build another"):
        mask_time(network)


@pytest.mark.parametrize("num_features", [5, 7])
def test_another_number_of_features_than_announced_is_named(num_features: int) -> None:
    backbone = ClipBackbone(Block(), num_features)
    with pytest.raises(ValueError, match=f"network_features = {num_features}: the network returns N×6 instead of"):
        backbone(torch.randn(1, 3, 3, 4, 4), torch.tensor([3]))


def test_what_is_frozen_stays_frozen() -> None:
    assert not any(p.requires_grad for p in mask_time(Block().requires_grad_(False)).parameters())


def test_a_rewritten_network_survives_pickling() -> None:
    masked = mask_time(Block(stride=2), temporal_stride=2).eval()
    again = pickle.loads(pickle.dumps(masked))  # noqa: S301  (our own)
    clips = torch.randn(2, 3, 5, 4, 4)
    for lengths in (None, torch.tensor([3, 5])):
        torch.testing.assert_close(again(clips, lengths)[0], masked(clips, lengths)[0])


@pytest.mark.parametrize("num_frames", [[4, 4], [2, 4]])
def test_gradients_are_right_where_a_map_is_one_place(num_frames: list[int]) -> None:
    """torch's own batch norm takes gradients of another layout for its own there."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(3, 4, 3, (1, 2, 2), 1), nn.BatchNorm3d(4), nn.ReLU())
    backbone = ClipBackbone(network, 4).double().train()
    clips = torch.randn(2, 4, 3, 2, 2, dtype=torch.float64)
    weight = torch.randn(2, 4, 4, dtype=torch.float64)

    def loss() -> Tensor:
        features, _ = backbone(clips, torch.tensor(num_frames))
        total: Tensor = (features * weight).sum()
        return total

    torch.autograd.backward(loss())
    for parameter in backbone.parameters():
        first, step = (0,) * parameter.ndim, 1e-6
        with torch.no_grad():
            parameter[first] += step
            above = loss()
            parameter[first] -= 2 * step
            below = loss()
            parameter[first] += step
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad[first], (above - below) / (2 * step), rtol=1e-4, atol=1e-6)


def test_a_stride_that_the_network_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="temporal_stride 4: not possible; the nearest is 2"):
        mask_time(Block(stride=2), temporal_stride=4)


def test_every_layer_of_torchvisions_networks_that_reaches_over_time_is_masked() -> None:
    masked = mask_time(torchvision.models.video.s3d().features)
    kinds = {type(layer) for layer in masked.modules() if not list(layer.children())}
    assert kinds >= {MaskedConv3d, MaskedMaxPool3d, MaskedBatchNorm3d}
    assert not kinds & {nn.Conv3d, nn.MaxPool3d, nn.BatchNorm3d}


def test_fill_beyond_takes_what_is_no_number() -> None:
    x = torch.full((2, 1, 3, 1, 1), torch.inf)
    filled = fill_beyond(x, torch.tensor([1, 3]))
    assert filled[~length_mask(torch.tensor([1, 3]), 3)[:, None]].eq(0).all()
