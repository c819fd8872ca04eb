"""Launches a per-frame network on a GPU: layer by layer, or as a whole that was recorded or compiled.

Recording and compiling are for one batch size. So there are few sizes: powers of two, of which the next larger is used
and filled up.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

Runner = Callable[[Tensor], Tensor]
"""``N×3×H×W`` to ``N×F``, for one N. Its result may be overwritten by its next call."""


class Launching(StrEnum):
    """How the layers' kernels are launched. Whether the modes other than EAGER are faster is not measured
    (docs/kernels.md): only a benchmark uses them."""

    EAGER = "eager"
    """By Python, one by one."""
    GRAPHS = "graphs"
    """By the GPU, from a CUDA graph of all of them."""
    COMPILED = "compiled"
    """As compiled by torch.compile: fewer kernels. Compilation takes a minute, and needs a C compiler."""


class BucketedNetwork(nn.Module):
    """A network that is prepared for a few batch sizes and accepts any.

    Args:
        network: in evaluation mode, from ``N×3×H×W`` to ``N×F``, each item separately.
        prepare: creates the runner for one size from the network and an example batch; it is called once for each
            size, when that size first occurs.
    """

    def __init__(self, network: nn.Module, prepare: Callable[[nn.Module, Tensor], Runner]) -> None:
        super().__init__()
        self.network = network
        self._prepare = prepare
        self._runners: dict[tuple[int, ...], Runner] = {}

    def forward(self, items: Tensor) -> Tensor:
        """``N×3×H×W`` to ``N×F``, a new tensor."""
        num_items = items.shape[0]
        num_filled = 1 << (num_items - 1).bit_length()
        if num_filled > num_items:
            items = torch.cat([items, items.new_zeros(num_filled - num_items, *items.shape[1:])])
        if items.shape not in self._runners:
            self._runners[items.shape] = self._prepare(self.network, items)
        return self._runners[items.shape](items)[:num_items].clone()


def launched(network: nn.Module, launching: Launching) -> nn.Module:
    """The network with this way of launching."""
    if launching is Launching.EAGER:
        return network
    return BucketedNetwork(network, record_graph if launching is Launching.GRAPHS else compile_for)


def compile_for(network: nn.Module, _example: Tensor) -> Runner:
    """See `Launching.COMPILED`. It compiles at the first call."""
    runner: Runner = torch.compile(network, dynamic=False)
    return runner


def record_graph(network: nn.Module, example: Tensor) -> Runner:
    """See `Launching.GRAPHS`. Other threads may use the GPU meanwhile."""
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
