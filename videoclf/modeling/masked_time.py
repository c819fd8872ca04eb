"""Rewrites a 3D network so that what lies beyond a clip's length never reaches what lies within it.

A convolution that reaches over time would mix padding into a clip's last steps, and more with every layer: plain
padding moved features by 41 to 77%. So each such layer becomes one of `masked_layers`, and the network's graph
(torch.fx) is changed to pass lengths from layer to layer as data: nothing is kept between calls, and the names of the
weights stay what they were.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torchvision
from torch import nn
from torch.fx import Graph, GraphModule, Node, Tracer
from torch.nn import functional

from videoclf.modeling.masked_layers import (
    ChannelNorm3d,
    MaskedBatchNorm3d,
    MaskedConv3d,
    MaskedLayer,
    MaskedMaxPool3d,
    fill_beyond,
    steps_after_stride,
    triple,
)

_PLACE_BY_PLACE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid,
    nn.Tanh, nn.Identity, nn.Dropout, nn.Dropout3d, nn.Linear, nn.LayerNorm, torchvision.ops.StochasticDepth,
    torchvision.ops.misc.Permute,
)  # fmt: skip
"""Layers that treat every step alike and by itself."""

_FUNCTIONS = frozenset(
    {operator.add, operator.iadd, operator.mul, operator.imul, torch.add, torch.mul, torch.cat, functional.relu}
)

_OUT_OF_PLACE: dict[Any, Any] = {operator.iadd: operator.add, operator.imul: operator.mul}


class _Tracer(Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (MaskedLayer, *_PLACE_BY_PLACE)) or super().is_leaf_module(module, name)


@dataclass(frozen=True)
class _TimeAxis:
    """Where a node of the graph stands in time."""

    num_steps: Node
    """Gives the lengths there."""
    stride: int = 1
    """Frames per step so far."""
    dilation: int = 1
    """What strides that were removed so far would have made of a step."""


def mask_time(network: nn.Module, *, temporal_stride: int = 1) -> GraphModule:
    """Rewrite a 3D network so that padding never counts.

    Where the network strides in time more than is wanted, its late strides are removed and what stands behind them is
    dilated instead (Chen et al. 2018, "atrous"): of the steps that come out, every n-th is the very one that the
    network gave with its stride, so pretrained weights keep their meaning.

    Args:
        network: from ``B×3×T×H×W`` to ``B×C×T'×h×w``; is taken over. Its layers must treat every step alike, or be 3D
            convolutions, max poolings or batch norms that keep the edges (padding (k - 1) / 2).
        temporal_stride: frames per step wanted; the network's own must be a multiple.

    Returns:
        a module that takes ``(clips, num_frames)``, `Lengths` second, and gives ``(features, num_steps)``, the features
        finite but meaningless beyond a clip's length.

    Raises:
        ValueError: a layer that cannot be told lengths, or a stride that cannot be had.
    """
    _replace_layers(network)
    graph = _Tracer().trace(network)
    layers = dict(network.named_modules())
    placeholder = next(node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(placeholder):
        lengths = graph.placeholder("num_steps")
    with graph.inserting_after(lengths):
        clean = graph.call_function(fill_beyond, (placeholder, lengths))
    placeholder.replace_all_uses_with(clean, lambda node: node is not clean)
    axis_of = {clean: _TimeAxis(lengths)}
    for node in list(graph.nodes):
        if node in {placeholder, lengths, clean} or node.op == "get_attr":
            continue
        axis = next((axis_of[source] for source in node.all_input_nodes if source in axis_of), None)
        if node.op == "output":
            assert axis is not None  # what comes out was computed from what went in
            if axis.stride != temporal_stride:
                raise ValueError(f"temporal_stride {temporal_stride}: cannot be had, the nearest is {axis.stride}")
            node.args = ((node.args[0], axis.num_steps),)
        elif axis is not None:
            axis_of[node] = _treat(node, layers, axis, graph, temporal_stride)
    rewritten = GraphModule(network, graph)
    return rewritten.train(network.training)


def _treat(node: Node, layers: dict[str, nn.Module], axis: _TimeAxis, graph: Graph, max_stride: int) -> _TimeAxis:
    """Tell a node lengths, if it wants them; returns where its result stands in time."""
    if node.op == "call_function" and node.target in _FUNCTIONS and _joins_channels(node):
        node.target = _OUT_OF_PLACE.get(node.target, node.target)
        return axis
    layer = layers.get(str(node.target)) if node.op == "call_module" else None
    if layer is None:
        raise ValueError(f"{node.format_node()}: may mix the steps of a clip; build the network of modules instead")
    if not isinstance(layer, MaskedLayer):
        _check_place_by_place(layer, str(node.target))
        return axis
    node.args = (node.args[0], axis.num_steps)
    if isinstance(layer, MaskedBatchNorm3d):
        return axis
    return _stride(node, layer, axis, graph, max_stride)


def _joins_channels(node: Node) -> bool:
    return node.target is not torch.cat or 1 in {*node.args[1:], node.kwargs.get("dim")}


def _stride(
    node: Node, layer: MaskedConv3d | MaskedMaxPool3d, axis: _TimeAxis, graph: Graph, max_stride: int
) -> _TimeAxis:
    """Keep a layer's stride in time or remove it, and dilate it by what was removed before it."""
    own_stride = layer.stride[0]
    reach = (layer.kernel_size[0] - 1) * layer.dilation[0]
    if isinstance(layer, MaskedConv3d) and 2 * triple(layer.padding)[0] != reach:
        raise ValueError(f"{node.target}: a kernel of {reach + 1} in time needs padding that keeps the edges")
    layer.dilation = _in_time(layer.dilation, axis.dilation)
    layer.padding = _in_time(layer.padding, axis.dilation)
    if own_stride == 1:
        return axis
    if axis.dilation > 1 or axis.stride * own_stride > max_stride:
        layer.stride = (1, *layer.stride[1:])
        return replace(axis, dilation=axis.dilation * own_stride)
    with graph.inserting_after(node):
        lengths = graph.call_function(steps_after_stride, (axis.num_steps, own_stride))
    return replace(axis, num_steps=lengths, stride=axis.stride * own_stride)


def _in_time(setting: Any, factor: int) -> tuple[int, int, int]:
    """A layer's dilation or padding with its value in time multiplied."""
    time, height, width = triple(setting)
    return time * factor, height, width


def _check_place_by_place(layer: nn.Module, name: str) -> None:
    pools_in_space = isinstance(layer, nn.AvgPool3d) and triple(layer.kernel_size)[0] == triple(layer.stride)[0] == 1
    pools_to_space = isinstance(layer, nn.AdaptiveAvgPool3d) and triple(layer.output_size)[0] is None
    if not (isinstance(layer, (ChannelNorm3d, *_PLACE_BY_PLACE)) or pools_in_space or pools_to_space):
        raise ValueError(f"{name}: {type(layer).__name__} may mix the steps of a clip, and cannot be told its length")


def _replace_layers(network: nn.Module) -> None:
    for name, layer in network.named_children():
        if isinstance(layer, MaskedLayer):
            continue
        if isinstance(layer, nn.Conv3d):
            setattr(network, name, _masked_conv(layer, name))
        elif isinstance(layer, nn.BatchNorm3d):
            setattr(network, name, _masked_norm(layer))
        elif isinstance(layer, nn.MaxPool3d):
            setattr(network, name, MaskedMaxPool3d(layer))
        else:
            if hasattr(layer, "inplace"):
                # what a masked norm gives is a view, and the backward of a change in place would copy the whole of it
                cast(Any, layer).inplace = False
            _replace_layers(layer)


def _masked_conv(conv: nn.Conv3d, name: str) -> MaskedConv3d:
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        raise ValueError(f"{name}: only zeros, in numbers, can pad a convolution over clips of different lengths")
    masked = MaskedConv3d(
        conv.in_channels, conv.out_channels, triple(conv.kernel_size), triple(conv.stride), triple(conv.padding),
        triple(conv.dilation), conv.groups, bias=conv.bias is not None, device="meta",
    )  # fmt: skip
    masked.weight, masked.bias = conv.weight, conv.bias
    return masked


def _masked_norm(norm: nn.BatchNorm3d) -> MaskedBatchNorm3d:
    masked = MaskedBatchNorm3d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    masked.load_state_dict(norm.state_dict(), assign=True)
    return masked
