"""What runs the network. The protocol is small, so that engines without torch can stand behind it."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from videoclf.media.reader import Chunks  # needs a decoder, which the network does not

Float32Array = npt.NDArray[np.float32]

W = TypeVar("W", bound=Sized)
"""A preprocessed window in the engine's own form; its ``len`` is its number of frames."""


class Engine(Protocol[W]):
    """Turns windows of frames into logits."""

    @property
    def computes_on(self) -> str:
        """The device and the precision, for people."""
        ...

    def preprocess(self, chunks: Chunks) -> W:
        """One window of frames as the network wants it; called from the reader's threads."""
        ...

    def logits(self, windows: Sequence[W]) -> Float32Array:
        """``B×C`` logits of a batch of windows of any lengths."""
        ...

    def features(self, window: W) -> Float32Array:
        """``T'×D``: what the backbone makes of one window."""
        ...
