"""The running mean of weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from videoclf.training.loop.weight_average import averaged_weights


def test_an_average_is_the_moving_one_that_it_says() -> None:
    network = torch.nn.BatchNorm1d(1)
    average = averaged_weights(network, 0.5)
    expected: float | None = None
    for n, value in enumerate((1.0, 3.0, 2.0, 5.0, 4.0, 4.0, 4.0, 4.0, 1.0, 0.0)):
        with torch.no_grad():
            for tensor in (network.weight, network.running_mean):
                assert tensor is not None
                tensor.fill_(value)
        average.update_parameters(network)
        decay = min(0.5, (1 + n) / (10 + n))
        expected = value if expected is None else decay * expected + (1 - decay) * value
        for mean in (average.module.weight, average.module.running_mean):
            assert isinstance(mean, Tensor)
            assert mean.item() == pytest.approx(expected)
