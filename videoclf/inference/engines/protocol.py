"""The protocol of what runs the network. It is small, so that engines without torch can implement it."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from videoclf.media.reader import Chunks  # needs a decoder, which the network does not

Float32Array = npt.NDArray[np.float32]

W = TypeVar("W", bound=Sized)
"""A preprocessed window in the engine's own format; its ``len`` is its number of frames."""


class Engine(Protocol[W]):
    """Turns windows of frames into logits."""

    @property
    def computes_on(self) -> str:
        """The device and the precision, as text."""
        ...

    def preprocess(self, chunks: Chunks) -> W:
        """Preprocess one window of frames for the network; called from the reader's threads."""
        ...

    def logits(self, windows: Sequence[W]) -> Float32Array:
        """Compute the logits, ``B×C``, of a batch of windows of any lengths."""
        ...

    def features(self, window: W) -> Float32Array:
        """Compute the backbone's features of one window, ``T'×D``."""
        ...
