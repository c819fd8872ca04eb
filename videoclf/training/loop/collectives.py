"""Communication between processes that train one network together: each has a share of every step's clips."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import distributed

Float64Array = npt.NDArray[np.float64]

T = TypeVar("T")

_PATIENCE = timedelta(days=7)
"""How long one process waits for another: one may be decoding, or testing, while the rest has nothing to do."""


class ProcessGroup(Protocol):
    """The collective operations of the processes that train together."""

    rank: int
    """Number of this process, from 0."""
    size: int

    def sum(self, values: Sequence[float]) -> Float64Array:
        """The sum of each value over all processes."""
        ...

    def gather(self, value: T) -> list[T]:
        """The value of each process, in the order of their ranks."""
        ...


class SingleProcess:
    """A single process."""

    rank = 0
    size = 1

    def sum(self, values: Sequence[float]) -> Float64Array:
        """See `ProcessGroup`."""
        return np.array(values, dtype=np.float64)

    def gather(self, value: T) -> list[T]:
        """See `ProcessGroup`."""
        return [value]


class DistributedProcessGroup:
    """Several processes of an initialized torch.distributed. These operations use gloo on the CPU, whatever backend
    gradients use."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self._group: Any = distributed.new_group(backend="gloo", timeout=_PATIENCE)

    def sum(self, values: Sequence[float]) -> Float64Array:
        """See `ProcessGroup`."""
        total = torch.tensor(values, dtype=torch.float64)
        distributed.all_reduce(total, group=self._group)
        return total.numpy()

    def gather(self, value: T) -> list[T]:
        """See `ProcessGroup`."""
        gathered: list[Any] = [None] * self.size
        distributed.all_gather_object(gathered, value, group=self._group)
        return gathered


def process_group_of(fabric: Fabric) -> ProcessGroup:
    """The process group of a launched Fabric."""
    return DistributedProcessGroup() if fabric.world_size > 1 else SingleProcess()
