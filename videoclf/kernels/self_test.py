"""Runs each kernel on a few pixels and compares it with its reference, to see whether it works on this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from videoclf.kernels import launch
from videoclf.kernels.layout import Clip, ClipLayout, Placement, frame_table
from videoclf.kernels.preprocess_reference import preprocess_reference
from videoclf.kernels.temporal_shift_reference import temporal_shift

_TOLERANCE = 1 / 255
"""A grey level: what tests/kernels holds the kernel to."""


def try_kernels(device: torch.device) -> str | None:
    """The name of a kernel whose result is wrong; None if there is none. Both are compiled, which takes some seconds if
    they are not in Triton's cache.

    Args:
        device: a GPU; under ``TRITON_INTERPRET=1`` the CPU.

    Raises:
        Exception: whatever Triton raises if it cannot compile or start a kernel.
    """
    pixels = torch.arange(2 * 19 * 31 * 3, dtype=torch.int64).mul(7919).remainder(256).to(torch.uint8)
    clips = [Clip(ClipLayout.rgb(2, 19, 31), Placement(0, 0, 19, 31, 9, 15, 0, 1))]
    table_FK = frame_table(clips, 9, 13, len(pixels))
    plain = ("rgb",), (0.0,) * 3, (1.0,) * 3
    expected = preprocess_reference(pixels, table_FK, 9, 13, *plain)
    found = torch.full_like(expected, torch.nan, device=device)
    with _on(device):
        launch.launch_preprocess(pixels.to(device), table_FK.to(device), found, *plain, is_yuv=False)
    if not bool((found.cpu() - expected).abs().max() <= _TOLERANCE):  # NaN is not: something was not written
        return "preprocess"
    maps = torch.arange(2.0 * 8 * 3).view(2, 8, 3, 1)
    neighbours_2N = torch.tensor([[0, 0], [1, 1]])
    moved = torch.full_like(maps, torch.nan, device=device)
    with _on(device):
        launch.launch_temporal_shift(maps.to(device), neighbours_2N.to(device), moved)
    return None if torch.equal(moved.cpu(), temporal_shift(maps, neighbours_2N)) else "temporal_shift"


def _on(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
