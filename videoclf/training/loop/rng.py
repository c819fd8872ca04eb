"""Random numbers by place: what is drawn for a clip, a batch or a step depends on the seed and on where in its training
a network is, never on what was drawn before.

So training goes on from any place as if it had never stopped, and processes that share a step draw what one would.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a random number is for: no two purposes share theirs."""

    ORDER = 0
    """Of the clips in an epoch."""
    CLIP = 1
    """A clip's variation."""
    TIES = 2
    """Between clips of one length."""
    BATCHES = 3
    """The order of a pool's batches."""
    MIXING = 4
    """Which clips of a batch are mixed, and how."""
    NETWORK = 5
    """Dropout, and whatever else draws inside a network."""


class Chance:
    """Random numbers of one training.

    Args:
        seed: the recipe's.
        stage: 0 for the first training, 1 for the refit.
    """

    def __init__(self, seed: int, stage: int) -> None:
        self._root = (seed, stage)

    def seed(self, purpose: Purpose, *place: int) -> tuple[int, ...]:
        """What `numpy.random.default_rng` takes."""
        return (*self._root, purpose, *place)

    def generator(self, purpose: Purpose, *place: int) -> np.random.Generator:
        """For that purpose at that place, always the same."""
        return np.random.default_rng(self.seed(purpose, *place))

    def torch_seed(self, purpose: Purpose, *place: int) -> int:
        """What `torch.manual_seed` takes: 63 bits."""
        return int(np.random.SeedSequence(self.seed(purpose, *place)).generate_state(1, np.uint64)[0] >> 1)
