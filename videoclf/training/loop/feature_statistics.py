"""Statistics of features over the training clips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class FeatureMoments:
    """Mean and deviation of features, accumulated window by window."""

    def __init__(self) -> None:
        self.num_steps = 0
        self._sum = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, steps_TD: Tensor) -> None:
        """Add one window."""
        steps = steps_TD.double()
        self.num_steps += len(steps)
        self._sum = self._sum.to(steps.device) + steps.sum(dim=0)
        self._squares = self._squares.to(steps.device) + (steps**2).sum(dim=0)

    @classmethod
    def together(cls, parts: Sequence[FeatureMoments]) -> FeatureMoments:
        """Combine what several processes have accumulated."""
        whole = cls()
        for part in parts:
            whole.num_steps += part.num_steps
            whole._sum = whole._sum.to(part._sum.device) + part._sum
            whole._squares = whole._squares.to(part._squares.device) + part._squares
        return whole

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, ``D`` each, float32."""
        mean = self._sum / self.num_steps
        return mean.float(), (self._squares / self.num_steps - mean**2).clamp_min(0).sqrt().float()
