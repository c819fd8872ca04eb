from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule

from videoclf.errors import RecipeInvalidError
from videoclf.kernels import temporal_shift as kernel
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.backbones.stages import backbone_stages
from videoclf.modeling.backbones.temporal_shift import TemporalShift, neighbours, shift_in_time
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.checkpoint import load_model, save_model
from videoclf.modeling.classifier import build_backbone, build_classifier, check_input_size
from videoclf.modeling.padding import length_mask, pad_sequences
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import parse_recipe

NAMES = ["mobilenet_v2", "resnet18", "resnet50"]
ATOL, RTOL = 1e-5, 1e-5


def recipe(name: str = "resnet18", **backbone: object) -> Recipe:
    return Recipe.model_validate({"backbone": {"name": name, "temporal_shift": True, **backbone}})


def backbone_of(name: str, num_views: int = 1) -> FrameBackbone:
    channels = ["rgb", "gray_triplet", "difference"][:num_views]
    spec = recipe(name).model_dump() | {"preprocess": {"channels": channels}}
    backbone = build_backbone(Recipe.model_validate(spec)).eval()
    assert isinstance(backbone, FrameBackbone)
    return backbone


def shift_slowly(maps_TCHW: Tensor) -> Tensor:
    """One clip, frame by frame."""
    shifted = maps_TCHW.clone()
    eighth = maps_TCHW.shape[1] // 8
    for t in range(len(maps_TCHW)):
        shifted[t, :eighth] = maps_TCHW[t - 1, :eighth] if t > 0 else 0
        shifted[t, eighth : 2 * eighth] = maps_TCHW[t + 1, eighth : 2 * eighth] if t + 1 < len(maps_TCHW) else 0
    return shifted


@pytest.mark.parametrize("num_channels", [8, 20, 64, 7])
def test_shifting_equals_the_slow_truth_clip_by_clip(num_channels: int) -> None:
    clips = [torch.randn(length, num_channels, 2, 3) for length in (3, 1, 5, 2)]
    shifted = TemporalShift()(torch.cat(clips), neighbours(torch.tensor([3, 1, 5, 2])))
    assert torch.equal(shifted, torch.cat([shift_slowly(clip) for clip in clips]))


def test_on_a_gpu_the_kernels_operator_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU is asked: a tensor that has no values says that it lies on one."""
    asked: list[tuple[int, ...]] = []

    def shift(maps: Tensor, _neighbours: Tensor) -> Tensor:
        asked.append(tuple(maps.shape))
        return maps

    monkeypatch.setattr(kernel, "temporal_shift", shift)
    with FakeTensorMode():
        maps = torch.empty(4, 16, 2, 2, device="cuda")
        TemporalShift()(maps, torch.empty(2, 4, dtype=torch.int64, device="cuda"))
        TemporalShift()(maps.new_empty(4, 16, 2, 2, device="cpu"), torch.zeros(2, 4, dtype=torch.int64))
    assert asked == [(4, 16, 2, 2)]


@pytest.mark.cuda
@pytest.mark.parametrize("name", NAMES)
def test_a_shifted_network_learns_on_a_gpu_what_it_does_on_a_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    backbone = backbone_of(name)
    clips, lengths = torch.randn(2, 5, 3, 32, 32), torch.tensor([5, 3])
    gradients = []
    for device in ("cpu", "cuda"):
        backbone.to(device).zero_grad()
        features, _ = backbone(clips.to(device), lengths.to(device))
        features.square().mean().backward()
        first = next(backbone.parameters())
        assert first.grad is not None
        gradients.append(first.grad.cpu())
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-4, rtol=1e-3)  # sums in another order


def test_neighbours_are_of_the_same_clip_and_view() -> None:
    assert neighbours(torch.tensor([2, 1]), num_views=2).tolist() == [[0, 1, 0, 1, 4, 5], [2, 3, 2, 3, 4, 5]]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_views", [1, 2])
def test_alone_or_in_a_batch_the_same(name: str, num_views: int) -> None:
    # in float64: with one thread, torch rounds another way for batches of another size, by 4e-5 of a random ResNet-50
    backbone = backbone_of(name, num_views).double()
    clips = [torch.randn(length, 3 * num_views, 32, 32, dtype=torch.float64) for length in (1, 11, 4)]
    padded, num_frames = pad_sequences(clips)
    padded[~length_mask(num_frames, 11)] = torch.nan
    with torch.inference_mode():
        features, _ = backbone(padded, num_frames)
        all_at_once = backbone.network(
            padded[length_mask(num_frames, 11)].reshape(-1, 3, 32, 32), neighbours(num_frames, num_views)
        )
        for clip, found in zip(clips, features, strict=True):
            alone, _ = backbone(clip[None], torch.tensor([len(clip)]))
            torch.testing.assert_close(found[: len(clip)], alone[0], atol=ATOL, rtol=RTOL)
    valid = features[length_mask(num_frames, 11)]
    torch.testing.assert_close(all_at_once.reshape(len(valid), -1), valid, atol=ATOL, rtol=RTOL)  # as on a GPU


@pytest.mark.parametrize("name", NAMES)
def test_every_residual_branch_is_shifted_and_weights_keep_their_names(name: str) -> None:
    shifted, plain = build_backbone(recipe(name)), build_backbone(recipe(name, temporal_shift=False))
    assert shifted.state_dict().keys() == plain.state_dict().keys()
    num_shifts = sum("temporal_shift" in str(node.target) for node in shifted.network.graph.nodes)  # type: ignore[union-attr]
    assert num_shifts == {"mobilenet_v2": 10, "resnet18": 8, "resnet50": 16}[name]
    assert len(backbone_stages(shifted)) == len(backbone_stages(plain))


def test_order_changes_the_features_of_a_frame() -> None:
    backbone = backbone_of("resnet18")
    clip = torch.randn(5, 3, 32, 32)
    with torch.inference_mode():
        forwards, backwards = (backbone(c[None], torch.tensor([5]))[0][0] for c in (clip, clip.flip(0)))
    assert not torch.allclose(forwards, backwards.flip(0), atol=1e-3)


def test_in_training_batch_norm_does_not_see_padding() -> None:
    padded, unpadded = build_backbone(recipe()).train(), build_backbone(recipe()).train()
    unpadded.load_state_dict(padded.state_dict())
    clips = [torch.randn(2, 3, 32, 32), torch.randn(5, 3, 32, 32)]
    steps, num_frames = pad_sequences(clips)
    longer = torch.cat([steps, torch.full((2, 4, 3, 32, 32), 7.0)], dim=1)
    features, _ = padded(steps, num_frames)
    same, _ = unpadded(longer, num_frames)
    torch.testing.assert_close(features, same[:, :5], atol=ATOL, rtol=RTOL)
    for name, statistic in padded.state_dict().items():
        torch.testing.assert_close(statistic, unpadded.state_dict()[name], msg=name)
    assert padded(steps[:1, :1], torch.tensor([1]))[0].isfinite().all()


def test_a_model_file_brings_it_back(tmp_path: Path) -> None:
    model = build_classifier(recipe("mobilenet_v2"), 3).eval()
    save_model(
        tmp_path / "m.safetensors", model, ModelHeader(name="m", recipe=recipe("mobilenet_v2"), labels=tuple("abc"))
    )
    loaded, header = load_model(tmp_path / "m.safetensors")
    assert header.recipe.backbone.temporal_shift
    batch = pad_sequences([torch.randn(3, 3, 32, 32)])
    with torch.inference_mode():
        torch.testing.assert_close(loaded(*batch), model(*batch))


def test_folding_batch_norms_leaves_the_shifts_in_place() -> None:
    folded = fold_batch_norms(build_classifier(recipe("mobilenet_v2"), 3).eval()).backbone
    assert isinstance(folded, FrameBackbone)
    assert folded.has_temporal_shift
    assert isinstance(folded.network, GraphModule)
    num_shifts = sum(node.target == "temporal_shift" for node in folded.network.graph.nodes)
    assert num_shifts == 10  # the blocks of MobileNetV2 that have a shortcut


def test_it_looks_ahead_and_takes_images_of_the_recipes_size() -> None:
    assert not recipe().causal
    check_input_size(recipe())


@pytest.mark.parametrize("name", ["efficientnet_b0", "r3d_18", "inflated:resnet18", "tiny", "custom"])
def test_other_networks_are_refused_by_name(name: str) -> None:
    with pytest.raises(
        RecipeInvalidError, match=f"temporal_shift = true: {name} cannot be shifted; mobilenet_v2, and resnet"
    ):
        parse_recipe({"backbone": {"name": name, "temporal_shift": True}}, [], source="x")
    with pytest.raises(ValueError, match="no residual branch that can be shifted"):
        shift_in_time(nn.Sequential(nn.Conv2d(3, 8, 3)))
