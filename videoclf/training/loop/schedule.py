"""How the learning rate changes from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable


def warmup_cosine(num_warmup_steps: float, num_steps: int) -> Callable[[int], float]:
    """The factor of the learning rate at each step: linear up to 1, then half a cosine down to 0. (Loshchilov 2017)"""

    def factor(step: int) -> float:
        if step < num_warmup_steps:
            return (step + 1) / (num_warmup_steps + 1)
        progress = (step - num_warmup_steps) / max(1.0, num_steps - num_warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor
