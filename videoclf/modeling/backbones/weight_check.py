"""Whether weights are those of a network: names, kinds of numbers, shapes, and that they are numbers."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHT_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""What weights may be stored as, wherever they come from: float32 has each value of these. Float64 would lose some, and
of numbers of eight bits torch cannot even tell whether they are finite."""


def mismatch(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """The first way in which weights differ from what is wanted in names, kinds of numbers (`WEIGHT_DTYPES`; of counts,
    just what is wanted) or shapes, or are no numbers; empty where nothing is wrong."""
    for name, tensor in wanted.items():
        if name not in given:
            return f"{name} is missing"
        allowed = WEIGHT_DTYPES if tensor.is_floating_point() else (tensor.dtype,)
        if given[name].dtype not in allowed:
            return f"{name} is {_dtypes(given[name].dtype)}; allowed there: {_dtypes(*allowed)}"
        if given[name].shape != tensor.shape:
            return f"{name} is {_shape(given[name])} instead of {_shape(tensor)}"
        if not given[name].isfinite().all():
            return f"{name} holds values that are no numbers"
    extra = next((name for name in given if name not in wanted), None)
    return f"{extra} is not part of the network" if extra else ""


def _dtypes(*dtypes: torch.dtype) -> str:
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
