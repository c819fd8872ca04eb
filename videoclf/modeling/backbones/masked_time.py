"""Rewrites a 3D network so that values beyond a clip's length never affect values within it.

A convolution over time would mix padding into a clip's last steps, and more with every layer: plain padding changed
features by 41 to 77%. So each such layer is replaced by one of `masked_layers`, and the network's graph (torch.fx)
passes lengths from layer to layer as data. Nothing is kept between calls, and weights keep their names.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch
import torchvision
from torch import nn
from torch.fx import Graph, GraphModule, Node, Tracer
from torch.fx.proxy import TraceError
from torch.nn import functional
from torch.nn.utils import parametrize

from videoclf.modeling.backbones.masked_layers import (
    ChannelNorm3d,
    FillBeyond,
    MaskedBatchNorm3d,
    MaskedConv3d,
    MaskedLayer,
    MaskedMaxPool3d,
    StepsAfterStride,
    triple,
)

_PLACE_BY_PLACE = frozenset({
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh,
    nn.Identity, nn.Dropout, torchvision.ops.StochasticDepth,
})  # fmt: skip
"""Layers that treat every place by itself, or all of a clip alike; these very types, not what is derived from them."""

_ON_CHANNELS = frozenset({ChannelNorm3d, nn.Dropout3d})
"""Layers that treat the second axis, which must hold the channels."""

_ON_LAST_AXIS = frozenset({nn.Linear, nn.LayerNorm})
"""Layers that treat the last axis, which must hold the channels."""

_TO_CHANNELS_LAST, _TO_CHANNELS_FIRST = [0, 2, 3, 4, 1], [0, 4, 1, 2, 3]
"""The allowed permutations, which ConvNeXt uses."""

_IN_PLACE = {operator.iadd: operator.add, operator.imul: operator.mul}
_FUNCTIONS = frozenset({
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, torch.add, torch.mul, torch.cat,
    torch.relu, torch.sigmoid, torch.tanh, functional.relu, functional.relu6, functional.gelu, functional.silu,
    functional.hardswish, *_IN_PLACE,
})  # fmt: skip
_METHODS = frozenset({"relu", "sigmoid", "tanh", "add", "mul"})


class _Tracer(Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        known = {*_PLACE_BY_PLACE, *_ON_CHANNELS, *_ON_LAST_AXIS, torchvision.ops.misc.Permute}
        return isinstance(module, MaskedLayer) or type(module) in known or super().is_leaf_module(module, name)


@dataclass(frozen=True)
class _Axes:
    """What the dimensions of a node's result mean."""

    num_steps: Node
    """Gives the lengths there."""
    stride: int = 1
    """Frames per step so far."""
    dilation: int = 1
    """What strides that were removed so far would have made of a step."""
    channels_last: bool = False
    """``B×T×H×W×C`` instead of ``B×C×T×H×W``."""


def mask_time(network: nn.Module, *, temporal_stride: int = 1) -> GraphModule:
    """Rewrite a 3D network so that padding has no effect.

    If the network's stride in time is larger than wanted, its late strides are removed and later kernels are dilated
    instead (Chen et al. 2018, "atrous"). Every n-th of the resulting steps is then exactly the one that the network
    gave with its stride, so pretrained weights keep their meaning.

    Args:
        network: from ``B×3×T×H×W`` to ``B×C×T'×h×w``. It is modified. Its layers must treat every step alike, or be 3D
            convolutions, max poolings or batch norms that keep the edges (padding (k - 1) / 2). Its Python code is
            traced once: a branch on ``self.training`` stays as it was then.
        temporal_stride: the wanted frames per step; the network's own stride must be a multiple of it.

    Returns:
        A module from ``(clips, num_frames)``, where ``num_frames`` are `Lengths`, to ``(features, num_steps)``. Beyond
        a clip's length, features are finite but meaningless.

        Raises:
        ValueError: a layer cannot use lengths, or the stride is impossible.
    """
    if any(isinstance(layer, FillBeyond) for layer in network.modules()):
        raise ValueError("the network is already used by a backbone; build another one")
    changed_in_place = _replace_layers(network)
    try:
        graph = _Tracer().trace(network)
    except TraceError as error:
        raise ValueError(f"the network's code cannot be traced ({error}); build it from modules instead") from error
    clips, *others = (node for node in graph.nodes if node.op == "placeholder")
    if others:
        raise ValueError(f"the network has {1 + len(others)} inputs; only one, the clips, is possible")
    return _Rewriting(network, graph, clips, changed_in_place, temporal_stride).done()


class _Rewriting:
    """One pass over a network's graph, in which every layer is told lengths.

    Args:
        network: whose graph it is.
        graph: is changed.
        clips: the graph's input.
        changed_in_place: layers that changed their input in place, and no longer do.
        temporal_stride: what is wanted.
    """

    def __init__(
        self, network: nn.Module, graph: Graph, clips: Node, changed_in_place: set[nn.Module], temporal_stride: int
    ) -> None:
        self._network = network
        self._graph = graph
        self._layers = dict(network.named_modules())
        self._changed_in_place = changed_in_place
        self._temporal_stride = temporal_stride
        self._dilations: dict[nn.Module, int] = {}
        with graph.inserting_after(clips):
            lengths = graph.placeholder(f"{clips.name}_num_steps")
        with graph.inserting_after(lengths):
            clean = self._call(FillBeyond(), clips, lengths)
        clips.replace_all_uses_with(clean, lambda node: node is not clean)
        self._axes_of = {clean: _Axes(lengths)}
        self._lengths_at: dict[int, Node] = {}

    def done(self) -> GraphModule:
        """The rewritten network."""
        for node in list(self._graph.nodes):
            if node.op in {"placeholder", "get_attr"} or node in self._axes_of:
                continue
            found = {self._axes_of[source] for source in node.all_input_nodes if source in self._axes_of}
            if len(found) > 1:
                raise ValueError(f"{_named(node)}: combines features of different strides or layouts")
            if node.op != "output" and not node.users:  # what += leaves behind when its left side is used again
                raise ValueError(f"{_named(node)}: modifies in place a value that is used elsewhere, or has no effect")
            for axes in found:
                if node.op == "output":
                    self._conclude(node, axes)
                else:
                    self._axes_of[node] = self._treat(node, axes)
        rewritten = GraphModule(self._network, self._graph)
        return rewritten.train(self._network.training)

    def _conclude(self, output: Node, axes: _Axes) -> None:
        if axes.stride != self._temporal_stride:
            raise ValueError(f"temporal_stride {self._temporal_stride}: not possible; the nearest is {axes.stride}")
        output.args = ((output.args[0], axes.num_steps),)

    def _call(self, layer: nn.Module, *arguments: Node) -> Node:
        name = f"_lengths_{len(self._layers)}"
        self._network.add_module(name, layer)
        self._layers[name] = layer
        return self._graph.call_module(name, arguments)

    def _treat(self, node: Node, axes: _Axes) -> _Axes:
        """Tell a node lengths, if it wants them; returns what its result's dimensions mean."""
        if node.op == "call_method" and node.target in _METHODS:
            return axes
        if node.op == "call_function" and node.target in _FUNCTIONS and _joins_channels(node, axes):
            if node.target in _IN_PLACE:
                _check_is_last_use(node)
                node.target = _IN_PLACE[node.target]
            return axes
        layer = self._layers.get(str(node.target)) if node.op == "call_module" else None
        if layer is None or len(node.args) != 1:
            raise ValueError(f"{_named(node)}: may mix the steps of a clip; use a module of torch.nn instead")
        if layer in self._changed_in_place:
            _check_is_last_use(node)
        if isinstance(layer, MaskedLayer) and not axes.channels_last:
            node.args = (node.args[0], axes.num_steps)
            return axes if isinstance(layer, MaskedBatchNorm3d) else self._stride(node, layer, axes)
        return _axes_behind(layer, axes, str(node.target))

    def _stride(self, node: Node, layer: MaskedConv3d | MaskedMaxPool3d, axes: _Axes) -> _Axes:
        """Keep a layer's stride in time or remove it, and dilate it by what was removed before it."""
        window, own_stride = layer.kernel_size[0], layer.stride[0]
        reach = (window - 1) * layer.dilation[0]
        padding = triple(layer.padding)[0]
        keeps_edges = 2 * padding == reach or (isinstance(layer, MaskedMaxPool3d) and padding == reach // 2)
        if not keeps_edges:
            raise ValueError(f"{node.target}: a kernel of {reach + 1} in time needs padding that keeps the edges")
        if layer in self._dilations and (own_stride, axes.dilation, self._dilations[layer]) != (1, 1, 1):
            raise ValueError(f"{node.target}: is used twice, and cannot have different strides or dilations")
        self._dilations[layer] = axes.dilation
        layer.dilation = _in_time(layer.dilation, axes.dilation)
        layer.padding = _in_time(layer.padding, axes.dilation)
        if own_stride == 1:
            return axes
        if axes.dilation > 1 or axes.stride * own_stride > self._temporal_stride:
            layer.stride = (1, *layer.stride[1:])
            return replace(axes, dilation=axes.dilation * own_stride)
        stride = axes.stride * own_stride
        if stride not in self._lengths_at:  # the branches of a block share one
            with self._graph.inserting_after(node):
                self._lengths_at[stride] = self._call(StepsAfterStride(own_stride), axes.num_steps)
        return replace(axes, num_steps=self._lengths_at[stride], stride=stride)


def _named(node: Node) -> str:
    """What a node calls, as its reader wrote it."""
    return str(getattr(node.target, "__name__", node.target))


def _joins_channels(node: Node, axes: _Axes) -> bool:
    if node.target is not torch.cat:
        return True
    return not axes.channels_last and 1 in {*node.args[1:], node.kwargs.get("dim")}


def _check_is_last_use(node: Node) -> None:
    """What changed its input in place is made to leave it: nobody may look at that input afterwards."""
    if len(node.all_input_nodes[0].users) > 1:
        raise ValueError(f"{_named(node)}: modifies in place a value that is used elsewhere; use its return value")


def _axes_behind(layer: Any, axes: _Axes, name: str) -> _Axes:
    """What dimensions mean behind a layer that is not told lengths."""
    if type(layer) is torchvision.ops.misc.Permute:
        allowed = _TO_CHANNELS_FIRST if axes.channels_last else _TO_CHANNELS_LAST
        if list(layer.dims) == allowed:
            return replace(axes, channels_last=not axes.channels_last)
    on_channels = _ON_LAST_AXIS if axes.channels_last else _ON_CHANNELS
    if type(layer) in _PLACE_BY_PLACE | on_channels or (not axes.channels_last and _pools_in_space(layer)):
        return axes
    raise ValueError(f"{name}: {type(layer).__name__} may mix the steps of a clip, and cannot use its length")


def _pools_in_space(layer: Any) -> bool:
    if type(layer) is nn.AvgPool3d:
        return bool(triple(layer.kernel_size)[0] == triple(layer.stride)[0] == 1)
    return type(layer) is nn.AdaptiveAvgPool3d and triple(layer.output_size)[0] is None


def _in_time(setting: Any, factor: int) -> tuple[int, int, int]:
    """A layer's dilation or padding with its value in time multiplied."""
    time, height, width = triple(setting)
    return time * factor, height, width


def _replace_layers(network: nn.Module, path: str = "") -> set[nn.Module]:
    """Replace what must be told lengths; returns the layers that changed their input in place, and no longer do."""
    changed_in_place: set[nn.Module] = set()
    for name, layer in network.named_children():
        place = f"{path}{name}"
        if isinstance(layer, MaskedLayer):
            continue
        if isinstance(layer, nn.Conv3d):
            setattr(network, name, _masked_conv(_plain(layer, nn.Conv3d, place), place))
        elif isinstance(layer, nn.BatchNorm3d):
            setattr(network, name, _masked_norm(_plain(layer, nn.BatchNorm3d, place), place))
        elif isinstance(layer, nn.MaxPool3d):
            setattr(network, name, _masked_pool(_plain(layer, nn.MaxPool3d, place), place))
        else:
            if getattr(layer, "inplace", False):
                # what a masked norm gives is a view, and the backward of a change in place would copy the whole of it
                cast(Any, layer).inplace = False
                changed_in_place.add(layer)
            changed_in_place |= _replace_layers(layer, f"{place}.")
    return changed_in_place


_Layer = TypeVar("_Layer", bound=nn.Module)


def _plain(layer: _Layer, kind: type[nn.Module], name: str) -> _Layer:
    """The layer, if it does what its kind does and no more."""
    is_hooked = any((layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks))
    if type(layer).forward is not kind.forward or is_hooked or parametrize.is_parametrized(layer):
        raise ValueError(f"{name}: does more than a {kind.__name__} (a forward, hook or parametrization of its own)")
    return layer


def _masked_conv(conv: nn.Conv3d, name: str) -> MaskedConv3d:
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        raise ValueError(f"{name}: padding = {conv.padding!r}, {conv.padding_mode}: give numbers, such as 1, and zeros")
    masked = MaskedConv3d(
        conv.in_channels, conv.out_channels, triple(conv.kernel_size), triple(conv.stride), triple(conv.padding),
        triple(conv.dilation), conv.groups, bias=conv.bias is not None, device="meta",
    )  # fmt: skip
    masked.weight, masked.bias = conv.weight, conv.bias
    return masked


def _masked_norm(norm: nn.BatchNorm3d, name: str) -> MaskedBatchNorm3d:
    if not norm.track_running_stats:
        raise ValueError(f"{name}: without running statistics a batch norm mixes the clips of a batch")
    masked = MaskedBatchNorm3d(norm.num_features, norm.eps, norm.momentum, norm.affine, device="meta")
    masked.weight, masked.bias = norm.weight, norm.bias
    masked.running_mean, masked.running_var = norm.running_mean, norm.running_var
    masked.num_batches_tracked = norm.num_batches_tracked
    return masked.train(norm.training)


def _masked_pool(pool: nn.MaxPool3d, name: str) -> MaskedMaxPool3d:
    if pool.ceil_mode or pool.return_indices:
        raise ValueError(
            f"{name}: ceil_mode and return_indices are not supported in a pooling over clips of any length"
        )
    return MaskedMaxPool3d(pool)
