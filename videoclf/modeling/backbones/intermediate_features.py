"""Appends features from the middle of a per-frame network to those of its top.

The top's features, averaged over the frame, describe what is visible. Those of an earlier stage, on a coarse grid,
describe where something moves and its shape, which small gestures need.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from videoclf.errors import RecipeInvalidError
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.backbones.stages import CONTAINERS, backbone_stages


class NetworkWithIntermediateFeatures(nn.Sequential):
    """``N×3×H×W`` to ``N×(F + C·g·g)``: the network's own F features, then the C channels of an intermediate
    stage on a g×g grid.

    Args:
        layers: the network's layers by name; the names stay.
        last: the last layer or block of the intermediate stage.
        grid: g, the number of cells per side.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module], last: nn.Module, grid: int) -> None:
        super().__init__(layers)
        self._last = [last]  # in a list, so that it is not one layer more
        self._grid = grid

    def forward(self, frames: Tensor) -> Tensor:
        """Compute the features described for the class."""
        maps, tapped = frames, None
        for name, layer in self.named_children():
            for piece in layer if name in CONTAINERS and isinstance(layer, nn.Sequential) else [layer]:
                maps = piece(maps)
                if piece is self._last[0]:
                    tapped = adaptive_avg_pool2d(maps, self._grid).flatten(1)
        assert tapped is not None  # it is one of the pieces
        return torch.cat([maps, tapped], dim=1)


def with_intermediate_features(backbone: FrameBackbone, num_stages_above: int, grid: int) -> FrameBackbone:
    """Append the features of an intermediate stage to each view's own features.

    Args:
        backbone: a torchvision network, or ``tiny``. It is modified.
        num_stages_above: number of stages (see `backbone_stages`) above the intermediate one.
        grid: cells per side of the grid over which the stage's maps are averaged.

    Raises:
        RecipeInvalidError: there are fewer stages.
    """
    stages = backbone_stages(backbone)
    if num_stages_above >= len(stages):
        raise RecipeInvalidError(
            f"the network has {len(stages)} stages",
            source=f"backbone.intermediate_stage_from_top = {num_stages_above}",
            hint=f"use at most {len(stages) - 1}",
        )
    tapped = stages[len(stages) - 1 - num_stages_above]
    num_channels = [layer.out_channels for layer in tapped.modules() if isinstance(layer, nn.Conv2d)][-1]
    network = NetworkWithIntermediateFeatures(OrderedDict(backbone.network.named_children()), tapped[-1], grid)
    num_features = backbone.feature_size // backbone.num_views + num_channels * grid**2
    return FrameBackbone(network, num_features, num_views=backbone.num_views)
