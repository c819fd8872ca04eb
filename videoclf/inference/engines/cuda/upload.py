"""The way of decoded frames to a GPU: through a few pinned buffers, on a stream of their own, beside the computation.

A copy from ordinary memory would wait, and make the GPU wait; pinned memory is scarce, so there is little of it and it
is used again and again. On a CPU the same calls copy within memory, at once.
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
    """A place in a stream's work."""

    def synchronize(self) -> None:
        """Wait until the work before it is done."""
        ...


class _Reached:
    """On a CPU everything before it is done."""

    def synchronize(self) -> None:
        """Nothing to wait for."""


class Stream:
    """Work that a GPU does beside its main stream; on a CPU, where work is done at once, nothing.

    Args:
        device: where.
    """

    def __init__(self, device: torch.device) -> None:
        # its kernels are small, and what follows waits for them: they go before a network's
        make: Any = torch.cuda.Stream
        self._stream = make(device, priority=-1) if device.type == "cuda" else None

    def entered(self) -> AbstractContextManager[object]:
        """Within it, this thread's work goes to the stream."""
        return contextlib.nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def mark(self) -> Mark:
        """The end of what the stream has been given so far."""
        if self._stream is None:
            return _Reached()
        reached: Mark = self._stream.record_event()
        return reached


def wait_for(mark: Mark, device: torch.device) -> None:
    """The device's current stream goes on only behind the mark; this thread does not wait."""
    if isinstance(mark, torch.cuda.Event):
        torch.cuda.current_stream(device).wait_event(mark)


@dataclass
class _Buffer:
    pinned: Tensor
    was_sent: Mark


class Staging:
    """Pinned buffers on their way to one device and back; any number of threads may use them at once.

    Args:
        device: where bytes go.
        stream: on which they are sent.
        num_buffers: that are in use at once, at most.
        buffer_bytes: of each.
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
        """All bytes behind each other on the device, one dimension; call it within the stream.

        Args:
            arrays: any shape; may be used again at once.

        Raises:
            torch.OutOfMemoryError: the device has no room for them.
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
    """Consecutive frames of one clip, with neighbours that are needed to look at them."""

    arrays: tuple[UInt8Array, ...]
    """``T×H×W×3`` each, behind each other in time."""
    first: int
    """The first frame that is meant."""
    end: int
    """One beyond the last."""

    @property
    def num_frames(self) -> int:
        """Neighbours included."""
        return sum(map(len, self.arrays))


def with_neighbours(chunks: Iterable[RgbFrames], reach: int) -> Iterator[Piece]:
    """Each chunk of a window with so many of the frames before and after it as the window has.

    Args:
        chunks: of one window, all of one size; a chunk may be shorter than the reach only if it is the last.
        reach: frames on either side.
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
