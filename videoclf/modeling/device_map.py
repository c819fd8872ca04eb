"""Puts a network on one device or, if it is too large for one, its parts on several.

Tensors are moved between devices inside the forward pass, so gradients return the same way. Nothing waits for the
devices, because launches on GPUs are asynchronous: if several batches are given to the network one after another, the
second is on the first device while the first is on the second device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node, Tracer
from torch.fx.node import map_arg
from torch.fx.proxy import TraceError

from videoclf.errors import DeviceUnavailableError, UsageInvalidError, one_line
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.backbones.stages import backbone_stages
from videoclf.modeling.classifier import VideoClassifier, build_backbone
from videoclf.option_names import option
from videoclf.recipe.recipe import Recipe

_ENTRY = re.compile(
    r"(?P<part>backbone|temporal|head)(?:(?<=backbone)\[(?P<first>\d*):(?P<end>\d*)\])?=(?P<device>\S+)", re.ASCII
)


@dataclass(frozen=True)
class Stretch:
    """Consecutive stages of a backbone (see `backbone_stages`) on one device."""

    first: int
    """Number of the first stage, from 0."""
    end: int | None
    """Number of the stage after the last; None for all up to the top."""
    device: torch.device


@dataclass(frozen=True)
class DeviceMap:
    """The device of each part of a network."""

    backbone: tuple[Stretch, ...]
    """All stages, from the input to the top."""
    temporal: torch.device
    head: torch.device

    @property
    def first(self) -> torch.device:
        """The device of the network's input."""
        return self.backbone[0].device

    @property
    def num_devices(self) -> int:
        """Number of devices: this many batches keep all of them busy."""
        return len({*(stretch.device for stretch in self.backbone), self.temporal, self.head})


def whole(device: torch.device) -> DeviceMap:
    """The device map with everything on one device."""
    return DeviceMap((Stretch(0, None, device),), device, device)


def choose_device_map(device: str, spec: str | None) -> DeviceMap:
    """The device map that the options device and device_map describe.

    Args:
        device: see `find_device`.
        spec: see `parse_device_map`; None: everything on the device.

    Raises:
        UsageInvalidError: both are given, or the spec is invalid.
        DeviceUnavailableError: this machine has no such device.
    """
    if spec is None:
        return whole(find_device(device))
    if device != "auto":
        raise UsageInvalidError(
            f"{option('device_map')} already gives the device of every part",
            source=option("device", device),
            hint=f"omit {option('device')}",
        )
    return parse_device_map(spec)


def parse_device_map(spec: str) -> DeviceMap:
    """Parse a device map that a user wrote.

    Args:
        spec: ``PART=DEVICE,...``; a part is ``backbone``, some of its stages, ``temporal`` or ``head``. A part above
            the backbone that is not named is on the device of the part below it: ``backbone=cuda:0,temporal=cuda:1``
            has the head on ``cuda:1``. ``backbone[:7]=cuda:0,backbone[7:]=cuda:1`` divides MobileNetV2 between its
            seventh stage and its eighth, and has temporal model and head on ``cuda:1``.

    Raises:
        UsageInvalidError: parts are unknown, missing or named twice, or CPU and GPUs are mixed.
        DeviceUnavailableError: this machine has no such device.
    """
    stretches: list[Stretch] = []
    above: dict[str, torch.device] = {}
    for entry in spec.split(","):
        found = _ENTRY.fullmatch(entry.strip())
        if found is None:
            raise UsageInvalidError(
                "expected PART=DEVICE",
                source=option("device_map", entry),
                hint="parts are backbone, stages of it (backbone[:7], backbone[7:]), temporal and head",
            )
        part, device = found["part"], find_device(found["device"], asked_by="device_map")
        if part in above:
            raise UsageInvalidError(f"{part} is given twice", source=option("device_map", entry), hint="name it once")
        if part == "backbone":
            stretches.append(Stretch(int(found["first"] or 0), int(found["end"]) if found["end"] else None, device))
        else:
            above[part] = device
    stretches.sort(key=lambda stretch: stretch.first)
    _check_that_they_join(stretches)
    temporal = above.get("temporal", stretches[-1].device)
    placement = DeviceMap(tuple(stretches), temporal, above.get("head", temporal))
    if len({device.type for device in (*(s.device for s in stretches), temporal, placement.head)}) > 1:
        raise UsageInvalidError(
            "mixes CPU and GPUs, and the GPUs would wait for the CPU",
            source=option("device_map", spec),
            hint="use only GPUs",
        )
    return placement


def _check_that_they_join(stretches: Sequence[Stretch]) -> None:
    """Every stage lies in one stretch."""
    if not stretches:
        raise UsageInvalidError("the backbone has no device", source=option("device_map"), hint="add backbone=DEVICE")
    if stretches[0].first > 0:
        raise UsageInvalidError(
            f"the backbone's stages below {stretches[0].first} have no device",
            source=option("device_map"),
            hint="start at 0",
        )
    for stretch, following in pairwise(stretches):
        if stretch.end is None or stretch.end > following.first:
            raise UsageInvalidError(
                f"stage {following.first} of the backbone is given twice",
                source=option("device_map"),
                hint="name it once",
            )
        if stretch.end < following.first:
            raise UsageInvalidError(
                f"stage {stretch.end} of the backbone has no device",
                source=option("device_map"),
                hint="leave no stage out",
            )
    for stretch in stretches:
        if stretch.end is not None and stretch.end <= stretch.first:
            raise UsageInvalidError(
                f"backbone[{stretch.first}:{stretch.end}] contains no stage",
                source=option("device_map"),
                hint="omit it",
            )
    if (end := stretches[-1].end) is not None:
        raise UsageInvalidError(
            f"the backbone's stages from {end} on have no device",
            source=option("device_map"),
            hint=f"add backbone[{end}:]=DEVICE",
        )


def find_device(name: str, *, asked_by: str = "device") -> torch.device:
    """The torch device with this name; ``auto`` is a GPU if there is one.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        asked_by: the option that names it, for the message.

    Raises:
        DeviceUnavailableError: the device is unknown, not on this machine, or lost by a fork.
    """
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        _check_fork(name, asked_by)
        return torch.device("cuda")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceUnavailableError(
            "there is no such kind of device", source=option(asked_by, name), hint="use auto, cpu, cuda or cuda:N"
        ) from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise DeviceUnavailableError(
            "is not supported", source=option(asked_by, name), hint="use auto, cpu, cuda or cuda:N"
        )
    num_gpus = torch.cuda.device_count()
    if num_gpus == 0:
        raise DeviceUnavailableError(
            "torch finds no GPU on this machine", source=option(asked_by, name), hint="use cpu"
        )
    if (device.index or 0) >= num_gpus:
        raise DeviceUnavailableError(
            f"this machine's GPUs are cuda:0 to cuda:{num_gpus - 1}", source=option(asked_by, name)
        )
    _check_fork(name, asked_by)
    return device


def _check_fork(name: str, asked_by: str) -> None:
    if torch.cuda._is_in_bad_fork():
        raise DeviceUnavailableError(
            "this process was forked from one that used GPUs, and cannot use one itself",
            source=option(asked_by, name),
            hint="start processes by spawn, load models only in the child, or use cpu",
        )


def check_device_map(placement: DeviceMap, recipe: Recipe, backbone: Backbone | None = None) -> None:
    """Check before anything is read or computed that the recipe's network has the stages that a device map names.

    Args:
        placement: the device map.
        recipe: the network's recipe.
        backbone: a custom one, if the recipe says ``custom``.

    Raises:
        UsageInvalidError: the backbone has fewer stages, or cannot be divided between them.
    """
    if len(placement.backbone) == 1:
        return
    if backbone is None:
        with torch.device("meta"):  # shapes only
            backbone = build_backbone(recipe)
    _stages_and_graph(backbone, placement.backbone)


def apply_device_map(classifier: VideoClassifier, placement: DeviceMap) -> VideoClassifier:
    """Move the parts of a network to their devices.

    Args:
        classifier: it is modified; weights keep their names. Fold its batch norms before, not after.
        placement: the device map.

    Returns:
        The same classifier. If it is on several devices, its input may be on any device, and its output is on the
        device of its head.

    Raises:
        UsageInvalidError: the backbone has fewer stages, or its stages are not known.
    """
    if placement.num_devices == 1:
        return classifier.to(placement.first)
    if len(placement.backbone) > 1:
        _cut(classifier.backbone, placement.backbone)
    else:
        classifier.backbone.to(placement.first)
    _bring_inputs(classifier.backbone, placement.first)
    for part, device in (
        (classifier.temporal, placement.temporal),
        (classifier.head, placement.head),
        (classifier.ridge, placement.temporal),  # it reads what the temporal model reads
    ):
        if part is not None:
            _bring_inputs(part.to(device), device)
    return classifier


def move(value: Any, device: torch.device) -> Any:
    """Move the values that one part passes to the next to the next one's device; other values than tensors stay as they
    are."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    return tuple(move(each, device) for each in value) if isinstance(value, tuple) else value


def _bring_inputs(part: nn.Module, device: torch.device) -> None:
    part.register_forward_pre_hook(lambda _part, inputs: move(inputs, device))


def _cut(backbone: nn.Module, stretches: Sequence[Stretch]) -> None:
    """Put each stretch on its device, and let the network's graph move what goes from one to the next."""
    stages, graph = _stages_and_graph(backbone, stretches)
    device_of: dict[int, torch.device] = {}
    for stretch in stretches:
        for stage in stages[stretch.first : stretch.end]:
            stage.to(stretch.device)
            device_of |= {id(tensor): stretch.device for tensor in _tensors(stage)}
    network: Any = backbone.network
    _move_at_cuts(network, graph, device_of, stretches[0].device)
    backbone.network = GraphModule(network, graph).train(network.training)


def _stages_and_graph(backbone: nn.Module, stretches: Sequence[Stretch]) -> tuple[list[nn.ModuleList], Graph]:
    """What a backbone is cut by, if it can be cut so."""
    stages = backbone_stages(backbone) if isinstance(backbone, FrameBackbone | ClipBackbone) else []
    held = {id(tensor) for stage in stages for tensor in _tensors(stage)}
    if not isinstance(backbone, FrameBackbone | ClipBackbone) or not {id(t) for t in _tensors(backbone)} <= held:
        raise UsageInvalidError(
            "the stages of this backbone are not known",
            source=option("device_map", "backbone[...]"),
            hint="put all of it on one device",
        )
    too_high = next((stretch.first for stretch in stretches if stretch.first >= len(stages)), None)
    if too_high is not None:
        remedy = f"divide it at 1 to {len(stages) - 1}" if len(stages) > 1 else "put all of it on one device"
        raise UsageInvalidError(
            f"the backbone has {len(stages)} stages, counted from 0",
            source=option("device_map", f"backbone[{too_high}:]"),
            hint=f"{remedy}",
        )
    return stages, _graph_of(backbone.network, stages)


def _tensors(module: nn.Module) -> list[Tensor]:
    return list(chain(module.parameters(), module.buffers()))


class _StageTracer(Tracer):
    """Follows a network from layer to layer, and into none of them."""

    def __init__(self, stages: Sequence[nn.ModuleList]) -> None:
        super().__init__()
        self._layers = {layer for stage in stages for layer in stage}

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return module in self._layers or super().is_leaf_module(module, name)


def _graph_of(network: nn.Module, stages: Sequence[nn.ModuleList]) -> Graph:
    if isinstance(network, GraphModule):  # 3D, shifted or folded: its graph says more than its code would
        return network.graph
    try:
        return _StageTracer(stages).trace(network)
    except (TraceError, TypeError, ValueError) as error:
        raise UsageInvalidError(
            f"the network's code cannot be traced ({one_line(error)})",
            source=option("device_map", "backbone[...]"),
            hint="put all of it on one device",
        ) from error


def _move_at_cuts(network: nn.Module, graph: Graph, device_of: dict[int, torch.device], first: torch.device) -> None:
    """Wherever the next layer with weights lies on another device, everything that is still needed goes there; at
    once, because a device that is sent something waits until it has done its work so far."""
    nodes, device = list(graph.nodes), first
    moved: dict[Node, Node] = {}
    for position, node in enumerate(nodes):
        wanted = _device_of(node, network, device_of) or device
        if wanted != device:
            device, remaining = wanted, set(nodes[position:])
            with graph.inserting_before(node):
                for value in nodes[:position]:
                    if remaining & value.users.keys():
                        moved[value] = graph.call_function(move, (moved.get(value, value), device))
        node.args = map_arg(node.args, lambda value: moved.get(value, value))
        node.kwargs = map_arg(node.kwargs, lambda value: moved.get(value, value))


def _device_of(node: Node, network: nn.Module, device_of: dict[int, torch.device]) -> torch.device | None:
    """Where a node's weights lie; None for one that has none, and is done wherever its input is."""
    if node.op not in {"call_module", "get_attr"}:
        return None
    target = attrgetter(str(node.target))(network)
    tensors = _tensors(target) if isinstance(target, nn.Module) else [target]
    return next((device_of[id(tensor)] for tensor in tensors if id(tensor) in device_of), None)
