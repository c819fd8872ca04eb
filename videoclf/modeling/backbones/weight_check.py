"""Checks that weights fit a network: names, data types and shapes, and that all values are numbers."""

from __future__ import annotations

import torch
from torch import Tensor

WEIGHT_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""Allowed data types of stored weights: float32 represents each of their values. Float64 would lose precision, and for
8-bit floats torch cannot check whether they are finite."""


def mismatch(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """The first way in which weights differ from a network in names, data types (`WEIGHT_DTYPES`; counts must have
    exactly the network's) or shapes, or are not numbers; empty if they fit."""
    for name, tensor in wanted.items():
        if name not in given:
            return f"{name} is missing"
        allowed = WEIGHT_DTYPES if tensor.is_floating_point() else (tensor.dtype,)
        if given[name].dtype not in allowed:
            return f"{name} is {_dtypes(given[name].dtype)}; allowed there: {_dtypes(*allowed)}"
        if given[name].shape != tensor.shape:
            return f"{name} is {_shape(given[name])} instead of {_shape(tensor)}"
        if not given[name].isfinite().all():
            return f"{name} contains values that are not finite numbers"
    extra = next((name for name in given if name not in wanted), None)
    return f"{extra} is not part of the network" if extra else ""


def _dtypes(*dtypes: torch.dtype) -> str:
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
