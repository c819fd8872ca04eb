"""Random numbers by position: what is drawn for a clip, a batch or a step depends on the seed and on the position in
the training, never on what was drawn before.

So training continues from any position as if it had never stopped, and processes that share a step draw the numbers
that a single one would.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """The purpose of a random number: different purposes have different numbers."""

    ORDER = 0
    """The order of the clips in an epoch."""
    CLIP = 1
    """The augmentation of a clip."""
    TIES = 2
    """The order of clips of the same length."""
    BATCHES = 3
    """The order of a pool's batches."""
    MIXING = 4
    """Which clips of a batch are mixed, and how."""
    NETWORK = 5
    """Dropout, and anything else that is random inside a network."""


class RandomSource:
    """Random numbers of one training.

    Args:
        seed: the recipe's seed.
        stage: 0 for the first training, 1 for the refit.
    """

    def __init__(self, seed: int, stage: int) -> None:
        self._root = (seed, stage)

    def seed(self, purpose: Purpose, *position: int) -> tuple[int, ...]:
        """The seed for `numpy.random.default_rng`."""
        return (*self._root, purpose, *position)

    def generator(self, purpose: Purpose, *position: int) -> np.random.Generator:
        """A generator for a purpose at a position, always the same."""
        return np.random.default_rng(self.seed(purpose, *position))

    def torch_seed(self, purpose: Purpose, *position: int) -> int:
        """The seed for `torch.manual_seed`: 63 bits."""
        return int(np.random.SeedSequence(self.seed(purpose, *position)).generate_state(1, np.uint64)[0] >> 1)
