"""How a per-frame network's work is handed to a GPU: layer by layer, or as one that was recorded or compiled.

Recording and compiling are for one size of batch. So there are few: powers of two, of which the next larger is taken
and filled up.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

Runner = Callable[[Tensor], Tensor]
"""``N×3×H×W`` to ``N×F``, for one N. What it gives may be overwritten by its next call."""


class Launching(StrEnum):
    """Who starts the layers' kernels. Whether the others gain anything is not measured (docs/kernels.md): nothing but
    a benchmark asks for them."""

    EAGER = "eager"
    """Python, one by one."""
    GRAPHS = "graphs"
    """The GPU, from a CUDA graph of all of them."""
    COMPILED = "compiled"
    """What torch.compile makes of the network: fewer kernels. It takes a minute, and a C compiler."""


class BucketedNetwork(nn.Module):
    """A network that is prepared for a few sizes of batch and takes any.

    Args:
        network: in evaluation mode, from ``N×3×H×W`` to ``N×F``, each item by itself.
        prepare: makes what runs one size from the network and an example batch; is called once a size, when the size
            is first met.
    """

    def __init__(self, network: nn.Module, prepare: Callable[[nn.Module, Tensor], Runner]) -> None:
        super().__init__()
        self.network = network
        self._prepare = prepare
        self._runners: dict[tuple[int, ...], Runner] = {}

    def forward(self, items: Tensor) -> Tensor:
        """``N×3×H×W`` to ``N×F``, a tensor of its own."""
        num_items = items.shape[0]
        num_filled = 1 << (num_items - 1).bit_length()
        if num_filled > num_items:
            items = torch.cat([items, items.new_zeros(num_filled - num_items, *items.shape[1:])])
        if items.shape not in self._runners:
            self._runners[items.shape] = self._prepare(self.network, items)
        return self._runners[items.shape](items)[:num_items].clone()


def launched(network: nn.Module, launching: Launching) -> nn.Module:
    """The network, started so."""
    if launching is Launching.EAGER:
        return network
    return BucketedNetwork(network, record_graph if launching is Launching.GRAPHS else compile_for)


def compile_for(network: nn.Module, _example: Tensor) -> Runner:
    """See `Launching.COMPILED`; compiles when it is first called."""
    runner: Runner = torch.compile(network, dynamic=False)
    return runner


def record_graph(network: nn.Module, example: Tensor) -> Runner:
    """See `Launching.GRAPHS`. Other threads may go on using the GPU meanwhile."""
    stand_in = example.clone(memory_format=torch.preserve_format)
    cuda: Any = torch.cuda
    with cuda.device(example.device):
        side, graph = cuda.Stream(), cuda.CUDAGraph()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(3):  # libraries choose their ways, and allocate, in the first calls
                network(stand_in)
        cuda.current_stream().wait_stream(side)
        with cuda.graph(graph, capture_error_mode="thread_local"):
            features = network(stand_in)

    def run(items: Tensor) -> Tensor:
        stand_in.copy_(items)
        graph.replay()
        result: Tensor = features
        return result

    return run
