"""Temporal shift in one pass against the reference, forward and backward."""

from __future__ import annotations

import pytest
import torch

from videoclf.kernels import temporal_shift_reference
from videoclf.kernels.launch import launch_temporal_shift
from videoclf.kernels.temporal_shift import temporal_shift
from videoclf.modeling.backbones.temporal_shift import neighbours

LENGTHS = torch.tensor([3, 1, 5])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(16, 3, 5), (20, 9, 7), (7, 2, 2), (64, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_equals_the_reference(
    layout: torch.memory_format, shape: tuple[int, int, int], dtype: torch.dtype, device: str
) -> None:
    maps = torch.randn(9, *shape, dtype=dtype, device=device).contiguous(memory_format=layout)
    sides = neighbours(LENGTHS).to(device)
    out = torch.full_like(maps, torch.nan)
    launch_temporal_shift(maps, sides, out)
    assert torch.equal(out, temporal_shift_reference.temporal_shift(maps, sides))


@pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_the_gradient_is_the_references(where: str) -> None:
    maps = torch.randn(9, 16, 3, 5, device=where, requires_grad=True)
    sides, weight = neighbours(LENGTHS).to(where), torch.randn(9, 16, 3, 5, device=where)
    (gradient,) = torch.autograd.grad((temporal_shift(maps, sides) * weight).sum(), maps)
    (expected,) = torch.autograd.grad((temporal_shift_reference.temporal_shift(maps, sides) * weight).sum(), maps)
    assert torch.equal(gradient, expected)


def test_channels_last_stay_last() -> None:
    maps = torch.randn(9, 16, 3, 5).contiguous(memory_format=torch.channels_last)
    assert temporal_shift(maps, neighbours(LENGTHS)).is_contiguous(memory_format=torch.channels_last)


def test_the_op_passes_torchs_own_checks() -> None:
    maps = torch.randn(9, 16, 2, 2, requires_grad=True)
    torch.library.opcheck(
        temporal_shift, (maps, neighbours(LENGTHS)),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )  # fmt: skip
