"""Few sizes of batch serve all; what is filled up is never seen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from videoclf.inference.engines.cuda.launching import BucketedNetwork, Launching, Runner, launched


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


@torch.inference_mode()
def test_any_number_of_items_runs_in_few_sizes() -> None:
    prepared: list[int] = []
    given: list[int] = []

    def prepare(net: nn.Module, example: Tensor) -> Runner:
        prepared.append(len(example))
        out = torch.empty(len(example), 5)  # overwritten by each call, as a graph's output is

        def run(items: Tensor) -> Tensor:
            given.append(len(items))
            return out.copy_(net(items))

        return run

    plain = network()
    bucketed = BucketedNetwork(plain, prepare)
    batches = [torch.randn(n, 3, 8, 8) for n in (1, 2, 3, 5, 6, 8, 64, 33)]
    found = [bucketed(batch) for batch in batches]
    for batch, features in zip(batches, found, strict=True):
        torch.testing.assert_close(features, plain(batch))
    assert given == [1, 2, 4, 8, 8, 8, 64, 64]
    assert prepared == [1, 2, 4, 8, 64]


@pytest.mark.cuda
@pytest.mark.parametrize("launching", list(Launching))
@torch.inference_mode()
def test_a_gpu_computes_the_same_however_it_is_started(launching: Launching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    plain = network().cuda()
    started = launched(plain, launching)
    for num_items in (3, 4, 1, 3):
        items = torch.randn(num_items, 3, 8, 8, device="cuda")
        torch.testing.assert_close(started(items), plain(items), atol=1e-5, rtol=1e-5)


def test_layer_by_layer_is_the_network_itself() -> None:
    plain = network()
    assert launched(plain, Launching.EAGER) is plain
