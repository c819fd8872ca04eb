"""Frames to learn from: resized by the reader's threads, or on the GPU that is to learn.

Augmentation comes behind it, and needs the frames of the whole window as pictures: `arrange_channels` is the last step.
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
    """The first half of the preprocessing, for one recipe. The reader's threads call it at once."""

    implementation: str
    """What its pictures depend on beside the recipe; empty for a CPU, whose pictures are the truth."""

    def __call__(self, chunks: Chunks) -> Tensor:
        """One window, ``T×3×height×width`` float32 RGB in [0, 1]."""
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
    """Bytes go up, pictures are made there and stay: within 1/255 of the CPU's.

    Args:
        spec: how frames are cut and resized.
        device: a GPU; a CPU in its place has the very pictures of `CpuResizer`.
        notice: is told, in one line, what is done in a slower way, and why.
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
    """The one for the device on which the network is; see `DeviceResizer`."""
    return CpuResizer(spec) if device.type == "cpu" else DeviceResizer(spec, device, notice)
