"""Uploads decoded frames to a GPU through a few pinned buffers, on a separate stream, in parallel with the computation.

A copy from ordinary memory would wait, and make the GPU wait. Pinned memory is scarce, so a few buffers are reused. On
a CPU the same calls copy within memory immediately.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from queue import Queue
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from videoclf.media.frames import RgbFrames, UInt8Array

_BUFFER_BYTES = 16 * 2**20
"""Of each pinned buffer: three frames of 1920×1080, or a chunk of seventy of 320×240. Frames that are larger go in
parts."""

_NUM_BUFFERS = 6
"""Some are filled while others are on their way: 96 MB in all, however many clips are in work."""


class Mark(Protocol):
    """A position in a stream's work."""

    def synchronize(self) -> None:
        """Wait until the work before the mark is done."""
        ...


class _Reached:
    """On a CPU everything before it is done."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


class Stream:
    """A stream of a GPU besides its main stream; on a CPU, which works immediately, it does nothing.

    Args:
        device: the device.
    """

    def __init__(self, device: torch.device) -> None:
        # its kernels are small, and what follows waits for them: they go before a network's
        make: Any = torch.cuda.Stream
        self._stream = make(device, priority=-1) if device.type == "cuda" else None

    def entered(self) -> AbstractContextManager[object]:
        """A context in which this thread's work goes to the stream."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def mark(self) -> Mark:
        """Mark the end of the work that the stream has received so far."""
        if self._stream is None:
            return _Reached()
        reached: Mark = self._stream.record_event()
        return reached


def wait_for(mark: Mark, device: torch.device) -> None:
    """Make the device's current stream wait for the mark; this thread does not wait."""
    if isinstance(mark, torch.cuda.Event):
        torch.cuda.current_stream(device).wait_event(mark)


@dataclass
class _Buffer:
    pinned: Tensor
    was_sent: Mark


class Staging:
    """Pinned buffers for uploads to one device; any number of threads may use them at once.

    Args:
        device: the target device.
        stream: the stream of the copies.
        num_buffers: maximum number of buffers in use at once.
        buffer_bytes: size of each.
    """

    def __init__(
        self,
        device: torch.device,
        stream: Stream,
        *,
        num_buffers: int = _NUM_BUFFERS,
        buffer_bytes: int = _BUFFER_BYTES,
    ) -> None:
        self._device, self._stream, self._buffer_bytes = device, stream, buffer_bytes
        self._free: Queue[_Buffer] = Queue()  # the one that was sent first is taken first
        for _ in range(num_buffers):
            pinned = torch.empty(buffer_bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
            self._free.put(_Buffer(pinned, _Reached()))

    @torch.inference_mode()
    def upload(self, arrays: Sequence[UInt8Array]) -> Tensor:
        """Copy all bytes to the device, one after another in one dimension; call it within the stream.

        Args:
            arrays: of any shape; they may be reused immediately.

        Raises:
            torch.OutOfMemoryError: the device has too little memory for them.
        """
        flat = [torch.from_numpy(np.ascontiguousarray(array)).flatten() for array in arrays]
        sent = torch.empty(sum(map(len, flat)), dtype=torch.uint8, device=self._device)
        at = 0
        for part in chain.from_iterable(torch.split(array, self._buffer_bytes) for array in flat):
            buffer = self._free.get()
            try:
                buffer.was_sent.synchronize()
                staged = buffer.pinned[: len(part)].copy_(part)
                sent[at : at + len(part)].copy_(staged, non_blocking=True)
                buffer.was_sent = self._stream.mark()
            finally:
                self._free.put(buffer)
            at += len(part)
        return sent


@dataclass(frozen=True)
class Piece:
    """Consecutive frames of one clip, with the neighbours that their preprocessing needs."""

    arrays: tuple[UInt8Array, ...]
    """``T×H×W×3`` each, consecutive in time."""
    first: int
    """Position of the first frame to preprocess."""
    end: int
    """Position after the last frame to preprocess."""

    @property
    def num_frames(self) -> int:
        """Number of frames, including neighbours."""
        return sum(map(len, self.arrays))


def with_neighbours(chunks: Iterable[RgbFrames], reach: int) -> Iterator[Piece]:
    """Yield each chunk of a window with its neighbouring frames, as far as the window has them.

    Args:
        chunks: of one window, with frames of one size. Only the last chunk may be shorter than the reach.
        reach: number of frames on either side.
    """
    before: UInt8Array | None = None
    held: UInt8Array | None = None
    for chunk in chain((chunk.rgb for chunk in chunks), [None]):
        if held is not None:
            sides = [] if before is None else [before]
            after = [] if chunk is None or not reach else [chunk[:reach]]
            first = sum(map(len, sides))
            yield Piece((*sides, held, *after), first, first + len(held))
            before = held[-reach:].copy() if reach else None  # a view would keep the chunk
        held = chunk
