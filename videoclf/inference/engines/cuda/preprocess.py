"""Preprocesses decoded frames on the network's device: they are uploaded as bytes and converted there.

The reader's threads do this on their own stream, while the network processes earlier frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from videoclf.errors import one_line
from videoclf.inference.engines.cuda.upload import Mark, Piece, Staging, Stream, wait_for, with_neighbours
from videoclf.kernels.availability import why_no_kernels
from videoclf.kernels.layout import Clip, ClipLayout
from videoclf.kernels.preprocess import Output, preprocess_clips
from videoclf.modeling.preprocess import place
from videoclf.recipe.preprocess import Preprocess

if TYPE_CHECKING:
    from videoclf.media.reader import Chunks


@dataclass(frozen=True)
class PreparedWindow:
    """One window whose preprocessing is done or under way."""

    parts: tuple[Tensor, ...]
    """``T_i×3V×H×W``, consecutive in time; on the CPU if the device had too little memory."""
    is_prepared: Mark
    """The mark after which they are complete."""

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def on(self, device: torch.device) -> list[Tensor]:
        """Copy the parts to a device, whose current stream waits for them."""
        wait_for(self.is_prepared, device)
        for part in self.parts:
            if part.is_cuda:  # they were made on another stream, which may have their memory only when this one is done
                part.record_stream(torch.cuda.current_stream(device))
        return [part.to(device) for part in self.parts]


class Preparation:
    """Preprocesses windows on one device; any number of threads may call it at once.

    Args:
        spec: how frames are resized and cropped.
        output: the input that the network needs.
        device: the network's device.
        notice: called with one line for everything that is done in a slower way; it says why.

    Raises:
        torch.OutOfMemoryError: there is too little memory for the pinned buffers.
    """

    def __init__(self, spec: Preprocess, output: Output, device: torch.device, notice: Callable[[str], None]) -> None:
        device = _with_index(device)
        self._spec, self._output, self._device, self._notice = spec, output, device, notice
        self._has_told_of_no_room = False
        self._reach = 0 if output.channels == ("rgb",) else 1
        self._stream = Stream(device)
        self._staging = Staging(device, self._stream)
        if device.type == "cuda" and (reason := why_no_kernels(device)):
            notice(f"frames are preprocessed by torch's own operations: {reason}")
        # the kernel is compiled before threads do it all at once
        black = Piece((np.zeros((1, 1, 1, 3), np.uint8),), 0, 1)
        self._prepared(black, torch.zeros(3, dtype=torch.uint8, device=device))

    @torch.inference_mode()
    def __call__(self, chunks: Chunks) -> PreparedWindow:
        """Start the upload and the preprocessing of one window."""
        with self._stream.entered():
            parts = tuple(self._prepare(piece) for piece in with_neighbours(chunks, self._reach))
            return PreparedWindow(parts, self._stream.mark())

    def _prepare(self, piece: Piece) -> Tensor:
        try:
            return self._prepared(piece, self._staging.upload(piece.arrays))
        except torch.OutOfMemoryError as error:
            reason = one_line(error)[:200]
        if not self._has_told_of_no_room:
            self._has_told_of_no_room = True
            self._notice(f"{self._device} has no memory for more frames ({reason}): some are preprocessed on the CPU")
        pixels = torch.cat([torch.from_numpy(array).flatten() for array in piece.arrays])
        return self._prepared(piece, pixels)

    def _prepared(self, piece: Piece, pixels: Tensor) -> Tensor:
        """``T×3V×height×width``, on the device of the pixels."""
        height, width = piece.arrays[0].shape[1:3]
        layout = ClipLayout.rgb(piece.num_frames, height, width)
        clip = Clip(layout, place(height, width, self._spec))
        return preprocess_clips(pixels, [clip], self._output)[piece.first : piece.end]


def _with_index(device: torch.device) -> torch.device:
    """Said in one way only: what is known of a device is kept by its name."""
    if device.type == "cpu" or device.index is not None:
        return device
    return torch.device(device.type, torch.cuda.current_device())
