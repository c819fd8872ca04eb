"""The running mean of a network's weights."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

_Tensors: TypeAlias = "tuple[Tensor, ...] | list[Tensor]"


def averaged_weights(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of a network with the exponential moving average of its weights and of its batch norms' statistics.

    After the n-th step ``min(decay, (1 + n) / (10 + n))`` of the average stays, so that in a short run the weights
    before the first steps have little influence. (TensorFlow's ExponentialMovingAverage)
    """

    moving_average: Any = get_ema_multi_avg_fn  # untyped

    def average(averaged: _Tensors, current: _Tensors, num_averaged: Tensor | int) -> None:
        n = int(num_averaged)
        moving_average(min(decay, (1 + n) / (10 + n)))(averaged, current, num_averaged)

    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)
