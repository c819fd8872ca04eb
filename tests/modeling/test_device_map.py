"""Parts of a network on several devices compute what the whole does on one."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from videoclf.errors import DeviceUnavailableError, UsageInvalidError
from videoclf.modeling import device_map as placement
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.backbones.stages import backbone_stages
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.modeling.device_map import apply_device_map, check_device_map, choose_device_map, parse_device_map
from videoclf.modeling.heads.ridge_layer import RidgeLayer
from videoclf.modeling.padding import pad_sequences
from videoclf.recipe.recipe import Recipe

CUT = "backbone[:2]=cpu:0,backbone[2:]=cpu:1,head=cpu:2"
PARTS = "backbone=cpu:0,temporal=cpu:1"
NETWORKS: list[dict[str, Any]] = [
    {"name": "tiny"},
    {"name": "mobilenet_v2"},
    {"name": "resnet18", "temporal_shift": True},
    {"name": "mobilenet_v2", "intermediate_stage_from_top": 17, "intermediate_grid": 2},
    {"name": "mc3_18", "temporal_stride": 1},
    {"name": "inflated:tiny"},
]


def classifier_of(**backbone: Any) -> VideoClassifier:
    torch.manual_seed(0)
    recipe = Recipe.model_validate({"backbone": backbone, "temporal": {"dropout": 0, "projection_size": 8}})
    return build_classifier(recipe, 3)


def clips() -> tuple[Tensor, Tensor]:
    return pad_sequences([torch.randn(3, 3, 32, 32), torch.randn(2, 3, 32, 32)])


@pytest.fixture
def crossings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.device, Any]]:
    """What was moved, and where to: on a CPU, tensors do not tell."""
    seen: list[tuple[torch.device, Any]] = []

    def seeing_move(value: Any, device: torch.device) -> Any:
        seen.append((device, value))
        return value.clone() if isinstance(value, Tensor) else value

    monkeypatch.setattr(placement, "move", seeing_move)
    return seen


@pytest.mark.parametrize("backbone", NETWORKS, ids=lambda backbone: "-".join(map(str, backbone.values())))
@pytest.mark.parametrize("spec", [CUT, PARTS])
def test_logits_gradients_and_statistics_are_those_of_one_device(
    backbone: dict[str, Any], spec: str, crossings: list[tuple[torch.device, Any]]
) -> None:
    alone = classifier_of(**backbone)
    placed = apply_device_map(copy.deepcopy(alone), parse_device_map(spec))
    batch = clips()
    for is_training in (True, False):
        random = torch.get_rng_state()
        expected = alone.train(is_training)(*batch)
        torch.set_rng_state(random)
        found = placed.train(is_training)(*batch)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for logits in (expected, found):
        logits.square().sum().backward()
    of_alone = dict(alone.named_parameters())
    for name, parameter in placed.named_parameters():
        torch.testing.assert_close(parameter.grad, of_alone[name].grad, atol=1e-5, rtol=1e-5)
    assert list(placed.state_dict()) == list(alone.state_dict())  # names, and so model files, are the same
    torch.testing.assert_close(placed.state_dict(), alone.state_dict(), atol=1e-6, rtol=1e-6)
    assert {str(device) for device, _ in crossings} == {"cpu:0", "cpu:1", *(["cpu:2"] if spec == CUT else [])}


def test_maps_cross_where_the_network_is_cut_and_nowhere_else(crossings: list[tuple[torch.device, Any]]) -> None:
    placed = apply_device_map(
        classifier_of(name="mobilenet_v2"), parse_device_map("backbone[:7]=cpu:0,backbone[7:]=cpu:1")
    )
    assert isinstance(placed.backbone, FrameBackbone)
    placed.backbone.network(torch.randn(2, 3, 64, 64))
    ((device, maps),) = crossings
    assert (str(device), tuple(maps.shape)) == ("cpu:1", (2, 32, 8, 8))


def test_a_residual_crosses_with_what_it_is_added_to(crossings: list[tuple[torch.device, Any]]) -> None:
    """A folded network is cut through its graph: a block's input is needed twice, and moved once."""
    folded = fold_batch_norms(classifier_of(name="resnet18").eval())
    expected = folded(*clips())
    placed = apply_device_map(folded, parse_device_map("backbone[:1]=cpu:0,backbone[1:3]=cpu:1,backbone[3:]=cpu:0"))
    assert isinstance(placed.backbone, FrameBackbone)
    crossings.clear()
    placed.backbone.network(torch.randn(1, 3, 32, 32))
    assert [str(device) for device, _ in crossings] == ["cpu:1", "cpu:0"]
    assert placed(*clips()).shape == expected.shape


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "efficientnet_b0"])
@torch.inference_mode()
def test_folded_networks_can_be_cut(name: str) -> None:
    folded = fold_batch_norms(classifier_of(name=name).eval())
    batch = clips()
    expected = folded(*batch)
    assert isinstance(folded.backbone, FrameBackbone)
    stages = backbone_stages(folded.backbone)
    placed = apply_device_map(folded, parse_device_map("backbone[:3]=cpu:0,backbone[3:]=cpu:1"))
    assert len(stages) > 3
    torch.testing.assert_close(placed(*batch), expected, atol=1e-5, rtol=1e-5)


def test_a_copy_is_placed_too(crossings: list[tuple[torch.device, Any]]) -> None:
    placed = copy.deepcopy(apply_device_map(classifier_of(name="tiny"), parse_device_map(CUT)))
    placed(*clips())
    assert {str(device) for device, _ in crossings} == {"cpu:0", "cpu:1", "cpu:2"}


def test_a_ridge_lies_with_the_temporal_model_and_its_logits_go_to_the_heads_device(
    crossings: list[tuple[torch.device, Any]],
) -> None:
    recipe = Recipe.model_validate({"backbone": {"name": "tiny", "frozen": True}, "head": {"ridge": True}})
    whole = build_classifier(recipe, 3).eval()
    nn.init.normal_(cast(RidgeLayer, whole.ridge).weight, std=0.1)
    placed = apply_device_map(copy.deepcopy(whole), parse_device_map("backbone=cpu:0,temporal=cpu:1,head=cpu:2"))
    given = clips()
    torch.testing.assert_close(placed(*given), whole(*given))
    assert [str(device) for device, _ in crossings] == ["cpu:0", "cpu:1", "cpu:2", "cpu:1"]


def test_one_device_leaves_the_network_as_it_is() -> None:
    placed = apply_device_map(classifier_of(name="tiny"), choose_device_map("cpu", None))
    assert isinstance(placed.backbone, FrameBackbone)
    assert not isinstance(placed.backbone.network, GraphModule)
    assert not placed.temporal._forward_pre_hooks


def test_what_is_not_named_lies_with_what_is_below_it() -> None:
    found = parse_device_map("backbone[4:]=cpu:1, backbone[:4]=cpu:0")
    assert [(s.first, s.end, str(s.device)) for s in found.backbone] == [(0, 4, "cpu:0"), (4, None, "cpu:1")]
    assert (str(found.temporal), str(found.head), found.num_devices) == ("cpu:1", "cpu:1", 2)
    assert str(parse_device_map("backbone=cpu:0,temporal=cpu:1").head) == "cpu:1"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("gru=cpu", r"device_map='gru=cpu': expected PART=DEVICE; parts are backbone"),
        ("backbone", r"device_map='backbone': expected PART=DEVICE"),
        ("", r"device_map='': expected PART=DEVICE"),
        ("temporal[:1]=cpu", "expected PART=DEVICE"),
        ("backbone[-1:]=cpu", "expected PART=DEVICE"),
        ("temporal=cpu", "the backbone has no device; add backbone=DEVICE"),
        ("backbone=cpu,head=cpu,head=cpu:1", "device_map='head=cpu:1': head is given twice; name it once"),
        ("backbone[2:]=cpu", "stages below 2 have no device"),
        ("backbone[:2]=cpu", r"stages from 2 on have no device; add backbone\[2:\]=DEVICE"),
        ("backbone[:2]=cpu,backbone[3:]=cpu:1", "stage 2 of the backbone has no device; leave no stage out"),
        ("backbone[:3]=cpu,backbone[2:]=cpu:1", "stage 2 of the backbone is given twice"),
        ("backbone=cpu,backbone=cpu:1", "stage 0 of the backbone is given twice"),
        ("backbone[:0]=cpu,backbone[0:]=cpu:1", r"backbone\[0:0\] contains no stage"),
    ],
)
def test_a_placement_that_means_nothing_is_told_in_one_line(spec: str, complaint: str) -> None:
    with pytest.raises(UsageInvalidError, match=complaint) as caught:
        parse_device_map(spec)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceUnavailableError, match="device_map='cuda:99': "):
        parse_device_map("backbone=cpu,temporal=cuda:99")
    with pytest.raises(DeviceUnavailableError, match="device_map='disk': there is no such kind of device"):
        parse_device_map("backbone=disk")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_a_gpu_that_a_fork_took_away_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(DeviceUnavailableError, match=f"^device='{name}': this process was forked from one that used"):
        choose_device_map(name, None)
    assert choose_device_map("cpu", None).first == torch.device("cpu")


def test_a_cpu_and_gpus_are_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        UsageInvalidError, match="mixes CPU and GPUs, and the GPUs would wait for the CPU; use only GPUs"
    ):
        parse_device_map("backbone=cpu,temporal=cuda:1")


def test_a_device_and_a_placement_exclude_each_other() -> None:
    with pytest.raises(
        UsageInvalidError, match="device='cpu': device_map already gives the device of every part; omit device"
    ):
        choose_device_map("cpu", PARTS)


@pytest.mark.parametrize("second", ["cpu:0", "cpu:1"])
def test_more_stages_than_there_are_is_refused_before_there_is_a_network(second: str) -> None:
    """Also where it would all come to lie on one device: the number is wrong all the same."""
    placement = parse_device_map(f"backbone[:4]=cpu:0,backbone[4:9]={second},backbone[9:]={second}")
    recipe = Recipe.model_validate({"backbone": {"name": "tiny"}})
    with pytest.raises(UsageInvalidError) as caught:
        check_device_map(placement, recipe)
    assert (
        str(caught.value) == "device_map='backbone[4:]': the backbone has 4 stages, counted from 0; divide it at 1 to 3"
    )


def test_more_stages_than_there_are_is_refused_of_a_network_too() -> None:
    with pytest.raises(UsageInvalidError, match=r"device_map='backbone\[4:\]': the backbone has 4 stages"):
        apply_device_map(classifier_of(name="tiny"), parse_device_map("backbone[:4]=cpu:0,backbone[4:]=cpu:1"))


@pytest.mark.parametrize("backbone", NETWORKS, ids=lambda backbone: "-".join(map(str, backbone.values())))
def test_what_can_be_cut_passes_the_check(backbone: dict[str, Any]) -> None:
    """As it is and, in two dimensions, folded: the number of stages is the same."""
    classifier = classifier_of(**backbone)
    assert isinstance(classifier.backbone, FrameBackbone | ClipBackbone)
    last = len(backbone_stages(classifier.backbone)) - 1
    spec = f"backbone[:{last}]=cpu:0,backbone[{last}:]=cpu:1"
    check_device_map(parse_device_map(spec), Recipe.model_validate({"backbone": backbone}))
    apply_device_map(fold_batch_norms(classifier.eval()), parse_device_map(spec))


def test_a_network_that_cannot_be_followed_is_placed_whole_or_not_at_all() -> None:
    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

        def forward(self, frames: Tensor) -> Tensor:
            maps: Tensor = self.first(frames)
            maps = self.second(maps if maps.sum() > 0 else -maps)
            return maps.mean((2, 3))

    recipe = Recipe.model_validate({"backbone": {"name": "custom"}})
    backbone = FrameBackbone(Moody(), 4)
    classifier = build_classifier(recipe, 2, backbone)
    cut = parse_device_map("backbone[:1]=cpu:0,backbone[1:]=cpu:1")
    for ask in (lambda: check_device_map(cut, recipe, backbone), lambda: apply_device_map(classifier, cut)):
        with pytest.raises(
            UsageInvalidError, match=r"the network's code cannot be traced .*; put all of it on one device"
        ):
            ask()
    assert apply_device_map(classifier, parse_device_map(PARTS))(*clips()).shape == (2, 2)


@pytest.mark.parametrize("backbone", NETWORKS, ids=lambda backbone: "-".join(map(str, backbone.values())))
def test_no_layer_meets_a_tensor_of_another_device(backbone: dict[str, Any]) -> None:
    """As the network's graph says: on a CPU, nothing else would tell."""
    classifier = classifier_of(**backbone)
    assert isinstance(classifier.backbone, FrameBackbone | ClipBackbone)
    lower = nn.ModuleList(backbone_stages(classifier.backbone)[:2])
    in_lower = {id(parameter) for parameter in lower.parameters()}
    apply_device_map(classifier, parse_device_map("backbone[:2]=cpu:0,backbone[2:]=cpu:1"))
    network: Any = classifier.backbone.network
    lies: dict[Node, str] = {}
    for node in network.graph.nodes:
        devices = {lies[value] for value in node.all_input_nodes} or {"cpu:0"}
        if node.target is placement.move:
            devices = {str(node.args[1])}
        elif node.op == "call_module":
            parameters = network.get_submodule(node.target).parameters()
            devices |= {"cpu:0" if id(parameter) in in_lower else "cpu:1" for parameter in parameters}
        (lies[node],) = devices
    assert set(lies.values()) == {"cpu:0", "cpu:1"}


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("backbone", NETWORKS, ids=lambda backbone: "-".join(map(str, backbone.values())))
def test_two_gpus_compute_what_one_does(backbone: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    alone = classifier_of(**backbone).to("cuda:0")
    placed = apply_device_map(
        copy.deepcopy(alone), parse_device_map("backbone[:2]=cuda:0,backbone[2:]=cuda:1,head=cuda:0")
    )
    lengths_and_frames = [tensor.to("cuda:0") for tensor in clips()]
    expected, found = alone(*lengths_and_frames), placed(*lengths_and_frames)
    assert {str(parameter.device) for parameter in placed.parameters()} == {"cuda:0", "cuda:1"}
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
