"""Decides where the kernels run, and says why they do not run elsewhere. There the references do the same work."""

from __future__ import annotations

import importlib
import os
import warnings
from functools import cache

import torch

from videoclf.errors import one_line

KERNELS = ("preprocess", "temporal_shift")
"""Their names in ``torch.ops.videoclf``."""

MIN_CAPABILITY = (8, 0)
"""Ampere: the oldest generation for which the kernels are compiled and tested."""


@cache
def why_no_kernels(device: torch.device) -> str | None:
    """Why the Triton kernels cannot run on a device, in one line; None if they can. Each has then been tried there on a
    few pixels, and gave the result of its reference. (The answer is kept for each device.)

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``; without an index, the current one.
    """
    if os.environ.get("TRITON_INTERPRET") == "1":
        return "TRITON_INTERPRET=1 makes Python interpret the kernels; unset it"
    if device.type != "cuda":
        return f"{device} is not a CUDA device"
    with warnings.catch_warnings(record=True) as caught:  # torch warns of what is wrong with a driver
        warnings.simplefilter("always")
        num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if num_gpus == 0:
        reasons = "; ".join(one_line(warning.message) for warning in caught)
        return f"torch finds no GPU ({reasons or 'no driver, or a torch without CUDA'})"
    if (device.index or 0) >= num_gpus:
        return f"{device} does not exist: this machine's GPUs are cuda:0 to cuda:{num_gpus - 1}"
    capability = torch.cuda.get_device_capability(device)
    if capability < MIN_CAPABILITY:
        found, needed = (f"sm_{major}{minor}" for major, minor in (capability, MIN_CAPABILITY))
        return f"{torch.cuda.get_device_name(device)} is {found}; the kernels need {needed} or newer"
    return _why_no_triton() or _why_wrong(device)


def _why_no_triton() -> str | None:
    try:
        importlib.import_module("triton")
    except Exception as error:
        return f"Triton cannot be imported ({one_line(error)}); pip install triton"
    return None


def _why_wrong(device: torch.device) -> str | None:
    """What is known only when a kernel has run: Triton needs a C compiler for its launchers, a driver that takes what
    its ptxas makes, and to be right."""
    from videoclf.kernels.self_test import try_kernels

    try:
        wrong = try_kernels(device)
    except Exception as error:
        return f"a kernel cannot be started ({one_line(error)[:300]}); Triton needs gcc or clang, and a recent driver"
    return f"the result of {wrong} differs from its reference; please report this GPU" if wrong else None
