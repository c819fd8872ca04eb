"""The temporal shift module (TSM, Lin et al. 2019, https://arxiv.org/abs/1811.08383): a 2D network that sees time.

Inside every residual branch, before its first convolution, an eighth of the channels comes from the frame before and an
eighth from the frame after; at a clip's ends, where there is none, zeros are used. It adds no weights: those of the 2D
network fit. The frames of all clips follow one another in one batch, so the neighbours of each frame are data that the
rewritten graph (torch.fx) passes on: nothing is kept between calls.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, symbolic_trace
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock, Bottleneck

from videoclf.kernels import temporal_shift, temporal_shift_reference


class TemporalShift(nn.Module):
    """Moves channels between neighbouring frames. (A layer, because a pickled graph keeps layers.)"""

    def forward(self, maps_NCHW: Tensor, neighbours_2N: Tensor | None) -> Tensor:
        """The same shape, with the first eighth of the channels from the frame before and the second from the frame
        after.

        Args:
            maps_NCHW: feature maps of all frames of a batch of clips.
            neighbours_2N: see `neighbours`; None if every frame is a separate clip.
        """
        if neighbours_2N is None:
            neighbours_2N = torch.arange(maps_NCHW.shape[0], device=maps_NCHW.device).expand(2, -1)
        # on a CPU not the operator, which runs the same reference: exporters would not know it
        shift = temporal_shift.temporal_shift if maps_NCHW.is_cuda else temporal_shift_reference.temporal_shift
        shifted: Tensor = shift(maps_NCHW, neighbours_2N)
        return shifted


def neighbours(num_frames: Tensor, num_views: int = 1) -> Tensor:
    """The positions of the frame before and the frame after each frame; the frame itself if there is none.

    Args:
        num_frames: ``B`` int64, of clips whose frames follow one another, each frame with its views in turn.
        num_views: views per frame; neighbours are always of the same view.

    Returns:
        ``2×N`` int64; N counts the views of all frames.

    >>> neighbours(torch.tensor([3, 1])).tolist()
    [[0, 0, 1, 3], [1, 2, 2, 3]]
    """
    clip_N = torch.arange(len(num_frames), device=num_frames.device).repeat_interleave(num_frames * num_views)
    return neighbours_within(clip_N, num_views)


def neighbours_within(clip_N: Tensor, num_views: int = 1) -> Tensor:
    """As `neighbours`, ``2×N``, for frames whose clips are given: ``N`` int64, ascending."""
    own_N = torch.arange(clip_N.shape[0], device=clip_N.device)
    sides = []
    for offset in (-num_views, num_views):
        side_N = (own_N + offset).clamp(min=0).minimum(own_N[-1])
        is_there_N = (own_N + offset == side_N) & (clip_N[side_N] == clip_N)
        sides.append(side_N.where(is_there_N, own_N))
    return torch.stack(sides)


def shift_in_time(network: nn.Module) -> GraphModule:
    """Rewrite a 2D network of residual blocks so that each branch begins with a `TemporalShift`.

    Args:
        network: from ``N×3×H×W``, with torchvision's ResNet or MobileNetV2 blocks (of the latter those that have a
            shortcut). It is modified; weights keep their names.

    Returns:
        A module that takes ``(frames N×3×H×W, neighbours 2×N)``; the second is None for single frames.

        Raises:
        ValueError: the network has no such block.
    """
    first_layers = {name for prefix, block in network.named_modules() if (name := _first_layer(prefix, block))}
    if not first_layers:
        raise ValueError(
            "the network has no residual branch that can be shifted: expected ResNet or MobileNetV2 blocks"
        )
    traced = symbolic_trace(network)
    graph = traced.graph
    frames = next(node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_after(frames):
        given_neighbours = graph.placeholder("neighbours", default_value=None)
    traced.add_module("temporal_shift", TemporalShift())
    for node in list(graph.nodes):
        if node.op == "call_module" and node.target in first_layers:
            (maps,) = node.args
            with graph.inserting_before(node):
                shifted = graph.call_module("temporal_shift", (maps, given_neighbours))
            node.args = (shifted,)
    traced.recompile()
    return traced


def _first_layer(prefix: str, block: nn.Module) -> str | None:
    """The name of the layer with which a block's residual branch begins; None where there is none."""
    if isinstance(block, BasicBlock | Bottleneck):
        return f"{prefix}.conv1"
    if isinstance(block, InvertedResidual) and block.use_res_connect:
        return f"{prefix}.conv.0.0"
    return None
