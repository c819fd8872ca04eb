"""The GRU over a clip's features, unrolled to the length of each clip, and the `mean` baseline.

It does not use PackedSequence, which prevents cuDNN's fastest kernels and cannot be exported. A padded batch is run to
the length of the longest clip; values beyond a clip's length come last and are never read. The second direction reads
each clip reversed *within its length*, so padding comes last there too.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from videoclf.modeling.clip_statistics import clip_statistics, masked_mean
from videoclf.modeling.padding import length_mask
from videoclf.recipe.temporal import Temporal


class GruLayer(nn.Module):
    """One GRU layer (Cho et al. 2014), in one or two directions.

    Args:
        input_size: features per step.
        hidden_size: units per direction.
        bidirectional: whether a second GRU reads each clip from its end; its outputs follow those of the first.
    """

    def __init__(self, input_size: int, hidden_size: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.forwards = nn.GRU(input_size, hidden_size, batch_first=True)
        self.backwards = nn.GRU(input_size, hidden_size, batch_first=True) if bidirectional else None

    def forward(self, steps_BTD: Tensor, num_steps: Tensor) -> Tensor:
        """States after each step, ``B×T×H`` or ``B×T×2H``; the second half has read from the clip's end to that
        step."""
        states_BTH: Tensor = self.forwards(steps_BTD)[0]
        if self.backwards is None:
            return states_BTH
        reversed_BTH, _ = self.backwards(reverse_within_length(steps_BTD, num_steps))
        return torch.cat([states_BTH, reverse_within_length(reversed_BTH, num_steps)], dim=2)


def reverse_within_length(steps_BTD: Tensor, num_steps: Tensor) -> Tensor:
    """Each clip's steps in reverse order. Values beyond its length are not moved."""
    position_T = torch.arange(steps_BTD.shape[1], device=steps_BTD.device)
    mirrored_BT = num_steps[:, None] - 1 - position_T
    source_BT = torch.where(mirrored_BT >= 0, mirrored_BT, position_T)
    return steps_BTD.gather(1, source_BT[:, :, None].expand_as(steps_BTD))


class MeanPooling(nn.Module):
    """The mean over a clip's steps."""

    def forward(self, steps_BTH: Tensor, num_steps: Tensor) -> Tensor:
        """``B×T×H`` to ``B×H``."""
        return masked_mean(steps_BTH, length_mask(num_steps, steps_BTH.shape[1])[:, :, None])


class LastPooling(nn.Module):
    """The state of each direction after the whole clip.

    Args:
        hidden_size: units per direction. The first direction ends at the last step, the second at the first step.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size

    def forward(self, steps_BTH: Tensor, num_steps: Tensor) -> Tensor:
        """``B×T×H`` to ``B×H``."""
        clip_B = torch.arange(len(steps_BTH), device=steps_BTH.device)
        last_BH = steps_BTH[clip_B, num_steps - 1, : self.hidden_size]
        return torch.cat([last_BH, steps_BTH[:, 0, self.hidden_size :]], dim=1)


class AttentionPooling(nn.Module):
    """A weighted mean over a clip's steps; the weights are a softmax of a learned score of each step.

    Args:
        input_size: features per step.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.score = nn.Linear(input_size, 1)

    def forward(self, steps_BTH: Tensor, num_steps: Tensor) -> Tensor:
        """``B×T×H`` to ``B×H``."""
        valid_BT = length_mask(num_steps, steps_BTH.shape[1])
        score_BT = self.score(steps_BTH).squeeze(2).masked_fill(~valid_BT, -torch.inf)
        # padding has weight 0, but 0 × inf would still be NaN
        weight_BT: Tensor = score_BT.softmax(dim=1)
        return (weight_BT[:, :, None] * steps_BTH.where(valid_BT[:, :, None], 0)).sum(dim=1)


class StatisticsPooling(nn.Module):
    """Statistics of a clip's steps; see `clip_statistics`."""

    _VARIANCE_FLOOR = 1e-4

    def forward(self, steps_BTH: Tensor, num_steps: Tensor) -> Tensor:
        """``B×T×H`` to ``B×3H``; the change is zero for a clip of one step."""
        return clip_statistics(steps_BTH, num_steps, variance_floor=self._VARIANCE_FLOOR)


class Standardise(nn.Module):
    """Standardises each feature by its mean and standard deviation over the steps of the training clips.

    Args:
        feature_size: D. The two statistics are part of the model; `set_statistics` sets them before training.
    """

    _DEVIATION_FLOOR = 0.05  # features that hardly vary (most of a ReLU's zeros) are not to be blown up

    def __init__(self, feature_size: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(feature_size))
        self.register_buffer("deviation", torch.ones(feature_size))

    def set_statistics(self, mean_D: Tensor, deviation_D: Tensor) -> None:
        """Set the mean and standard deviation of the training clips."""
        self.mean.copy_(mean_D)
        self.deviation.copy_(deviation_D + self._DEVIATION_FLOOR)

    def forward(self, steps_BTD: Tensor) -> Tensor:
        """Standardise features; the shape stays the same."""
        return (steps_BTD - self.mean) / self.deviation


class StandardisedProjection(nn.Sequential):
    """`Standardise`, then a linear layer, then any others. The first two are computed as one product, so that no
    standardised copy of thousands of features is written."""

    def forward(self, steps_BTD: Tensor) -> Tensor:
        """``B×T×D`` to ``B×T×P``."""
        scale, layer = cast(Standardise, self[0]), cast(nn.Linear, self[1])
        weight_PD = layer.weight / scale.deviation
        projected: Tensor = linear(steps_BTD, weight_PD, layer.bias - weight_PD @ scale.mean)
        for further in list(self)[2:]:
            projected = further(projected)
        return projected


class TemporalModel(nn.Module):
    """Turns the features of a clip's steps into one vector: projection, GRU layers (none in the baseline) and pooling;
    and, if the recipe says so, statistics of the projected steps.

    Args:
        feature_size: the backbone's features per step.
        spec: the recipe's section.
    """

    def __init__(self, feature_size: int, spec: Temporal) -> None:
        super().__init__()
        self.projection = self._build_projection(feature_size, spec)
        directions = 2 if spec.bidirectional else 1
        layers: list[GruLayer] = []
        self.output_size = spec.projection_size or feature_size
        for _ in range(spec.num_layers if spec.kind == "gru" else 0):
            layers.append(GruLayer(self.output_size, spec.hidden_size, bidirectional=spec.bidirectional))
            self.output_size = spec.hidden_size * directions
        self.layers = nn.ModuleList(layers)
        self.pooling = self._build_pooling(spec)
        self.statistics = StatisticsPooling() if spec.kind == "gru" and spec.statistics else None
        if self.statistics is not None:
            self.output_size += 3 * (spec.projection_size or feature_size)

    def _build_projection(self, feature_size: int, spec: Temporal) -> nn.Module:
        if not spec.projection_size:
            return nn.Identity()
        # frozen features differ much in scale; what either norm gave is in docs/design.md
        is_standardised = spec.input_norm == "standardise"
        sequence = StandardisedProjection if is_standardised else nn.Sequential
        return sequence(
            Standardise(feature_size) if is_standardised else nn.LayerNorm(feature_size),
            nn.Linear(feature_size, spec.projection_size),
            nn.LayerNorm(spec.projection_size),
            nn.GELU(),
            nn.Dropout(spec.dropout),
        )

    def _build_pooling(self, spec: Temporal) -> nn.Module:
        if spec.kind == "mean" or spec.pooling == "mean":
            return MeanPooling()
        return LastPooling(spec.hidden_size) if spec.pooling == "last" else AttentionPooling(self.output_size)

    def forward(self, features_BTD: Tensor, num_steps: Tensor) -> Tensor:
        """Compute one vector per clip.

        Args:
            features_BTD: ``B×T×D`` float; values beyond a clip's length are ignored if they are finite.
            num_steps: ``B`` int64, each 1 to T.

        Returns:
            ``B×output_size``.
        """
        projected_BTP = self.projection(features_BTD)
        steps_BTH = projected_BTP
        for layer in self.layers:
            steps_BTH = layer(steps_BTH, num_steps)
        pooled_BE: Tensor = self.pooling(steps_BTH, num_steps)
        if self.statistics is None:
            return pooled_BE
        return torch.cat([pooled_BE, self.statistics(projected_BTP, num_steps)], dim=1)
