"""Features of a frozen backbone, kept on disk for the length of a run: memory stays bounded, however large the set."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.errors import RunFolderUnusable


@dataclass(frozen=True)
class StoredFeatures:
    """Where one sequence of features lies."""

    offset_bytes: int
    num_steps: int
    feature_size: int


class FeatureStore:
    """Sequences of features by clip, window and view.

    Args:
        folder: where the file lies; it has no name, and its space is free again when the process ends, however it ends.

    Raises:
        RunFolderUnusable: nothing can be written there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[LabelledClip, list[list[StoredFeatures]]] = {}
        self._num_bytes = 0
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise self._unusable(error) from error
        weakref.finalize(self, os.close, self._descriptor)

    def __contains__(self, clip: LabelledClip) -> bool:
        return clip in self._places

    def put(self, clip: LabelledClip, windows: Sequence[Sequence[Tensor]]) -> None:
        """Keep a clip's features: ``T×D`` float32 on the CPU, by window and by view.

        Raises:
            RunFolderUnusable: the disk is full.
        """
        self._places[clip] = [[self._append(view) for view in views] for views in windows]

    def places(self, clip: LabelledClip) -> list[list[StoredFeatures]]:
        """Where a clip's sequences lie, by window and by view."""
        return self._places[clip]

    def load(self, place: StoredFeatures) -> Tensor:
        """``T×D`` float32."""
        num_bytes = place.num_steps * place.feature_size * 4
        content = bytearray(os.pread(self._descriptor, num_bytes, place.offset_bytes))
        return torch.from_numpy(np.frombuffer(content, np.float32).reshape(place.num_steps, place.feature_size))

    def _append(self, features: Tensor) -> StoredFeatures:
        place = StoredFeatures(self._num_bytes, *features.shape)
        content = memoryview(features.contiguous().numpy().data).cast("B")
        try:
            while content:  # a nearly full disk takes a part and refuses the rest
                num_written = os.pwrite(self._descriptor, content, self._num_bytes)
                self._num_bytes += num_written
                content = content[num_written:]
        except OSError as error:
            raise self._unusable(error) from error
        return place

    def _unusable(self, error: OSError) -> RunFolderUnusable:
        return RunFolderUnusable(
            f"{self._folder}: the frozen backbone's features cannot be kept there ({error.strerror}, "
            f"{self._num_bytes / 1e9:.1f} GB so far); free some space, or choose another --out"
        )
