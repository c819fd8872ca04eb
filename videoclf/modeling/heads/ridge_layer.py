"""The ridge classifier of a clip's head, as a layer: what it does with features it has not learned by steps, but in
closed form (`videoclf.training.ridge`)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from videoclf.modeling.clip_statistics import clip_statistics


class RidgeLayer(nn.Module):
    """Logits from the statistics of a clip's features. It says nothing until `set_weights`.

    Args:
        feature_size: D, the backbone's features per step.
        num_classes: C.
        share: of its logits in the average with others, from 0 to 1.
    """

    def __init__(self, feature_size: int, num_classes: int, share: float) -> None:
        super().__init__()
        # parameters, because buffers are sent to all processes at every step; without gradients, because no step
        # changes them
        self.share = nn.Parameter(torch.tensor(share), requires_grad=False)
        num_statistics = 3 * feature_size
        self.mean = nn.Parameter(torch.zeros(num_statistics), requires_grad=False)
        self.deviation = nn.Parameter(torch.ones(num_statistics), requires_grad=False)
        self.weight = nn.Parameter(torch.zeros(num_classes, num_statistics), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(num_classes), requires_grad=False)

    def set_weights(self, mean_F: Tensor, deviation_F: Tensor, weight_CF: Tensor, bias_C: Tensor) -> None:
        """Set the classifier: weights and bias for F = 3D statistics that are standardised by mean and deviation."""
        self.mean.copy_(mean_F)
        self.deviation.copy_(deviation_F)
        self.weight.copy_(weight_CF)
        self.bias.copy_(bias_C)

    def set_share(self, share: float) -> None:
        """Set the share of its logits in the average with others."""
        self.share.fill_(share)

    def forward(self, features_BTD: Tensor, num_steps: Tensor) -> Tensor:
        """Compute logits.

        Args:
            features_BTD: ``B×T×D``; values beyond a clip's length are ignored.
            num_steps: ``B`` int64, each 1 to T.

        Returns:
            ``B×C``.
        """
        statistics_BF = clip_statistics(features_BTD, num_steps)
        return linear((statistics_BF - self.mean) / self.deviation, self.weight, self.bias)
