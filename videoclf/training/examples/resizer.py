"""Resizes frames for training: in the reader's threads, or on the GPU that trains.

Augmentation comes after it, and needs the frames of the whole window as RGB images: `arrange_channels` is the last
step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from videoclf.inference.engines.cuda.preprocess import Preparation
from videoclf.kernels.availability import why_no_kernels
from videoclf.kernels.preprocess import Output
from videoclf.media.reader import Chunks
from videoclf.modeling.preprocess import resize_window
from videoclf.recipe.preprocess import Preprocess


class Resizer(Protocol):
    """The first half of preprocessing for one recipe. The reader's threads call it simultaneously."""

    implementation: str
    """What its results depend on besides the recipe; empty for a CPU, whose results are the reference."""

    def __call__(self, chunks: Chunks) -> Tensor:
        """Resize one window: ``T×3×height×width`` float32 RGB in [0, 1]."""
        ...


class CpuResizer:
    """See `videoclf.modeling.preprocess.resize_window`."""

    implementation = ""

    def __init__(self, spec: Preprocess) -> None:
        self._spec = spec

    def __call__(self, chunks: Chunks) -> Tensor:
        """See `Resizer`."""
        return resize_window(chunks, self._spec)


class DeviceResizer:
    """Uploads bytes and resizes on the device, where the result stays: within 1/255 of the CPU's.

    Args:
        spec: how frames are resized and cropped.
        device: a GPU; on a CPU the results are exactly those of `CpuResizer`.
        notice: called with one line if a slower way is used; it says why.
    """

    def __init__(self, spec: Preprocess, device: torch.device, notice: Callable[[str], None]) -> None:
        self._device = device
        self._preparation = Preparation(spec, Output(spec.height, spec.width), device, notice)
        self.implementation = "prepared by torch" if why_no_kernels(device) else "prepared by kernels"

    def __call__(self, chunks: Chunks) -> Tensor:
        """See `Resizer`."""
        window = self._preparation(chunks)
        window.is_prepared.synchronize()  # this thread waits, and nobody else has to
        return torch.cat(window.on(self._device))  # a copy: what was made in inference mode cannot be learnt from


def make_resizer(spec: Preprocess, device: torch.device, notice: Callable[[str], None]) -> Resizer:
    """Create the resizer for the network's device; see `DeviceResizer`."""
    return CpuResizer(spec) if device.type == "cpu" else DeviceResizer(spec, device, notice)
