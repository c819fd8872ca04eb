"""Keeps features during a run, if there is no cache or it cannot be written."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from videoclf.data.feature_entry import ArrayPosition, ClipFeatures, EntryLayout, Float32Array, checksum, read_array
from videoclf.data.feature_key import FeatureKey
from videoclf.errors import RunFolderUnusableError
from videoclf.option_names import option


class TemporaryFeatures:
    """One file, for one thread. It has no name, so its space is free again when the process ends, however it ends.

    Args:
        folder: the folder of the file.

    Raises:
        RunFolderUnusableError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._layouts: dict[str, EntryLayout] = {}
        self._num_bytes = 0
        try:
            self._file = cast("BinaryIO", tempfile.TemporaryFile(dir=folder, buffering=0))  # noqa: SIM115  (open until the end)
        except OSError as error:
            raise self._unusable(error) from error
        weakref.finalize(self, self._file.close)

    def find(self, key: FeatureKey) -> EntryLayout | None:
        """Look up a clip's view."""
        return self._layouts.get(key.digest)

    def load(self, layout: EntryLayout, window: int) -> Float32Array:
        """``T'×D``, a new array.

        Raises:
            EntryDamagedError: the disk does not return what was written.
        """
        return read_array(self._file, layout.places[window])

    def store(self, key: FeatureKey, features: ClipFeatures) -> int:
        """Store the features of a clip's view, and return their size in bytes.

        Raises:
            RunFolderUnusableError: the disk is full.
        """
        started_bytes = self._num_bytes
        places = tuple(self._append(array) for array in features.windows)
        self._layouts[key.digest] = EntryLayout(features.num_frames, places)
        return self._num_bytes - started_bytes

    def _append(self, array: Float32Array) -> ArrayPosition:
        array = np.ascontiguousarray(array)
        place = ArrayPosition(self._num_bytes, array.shape[0], array.shape[1], checksum(array))
        content = array.data.cast("B")
        try:
            self._file.seek(self._num_bytes)
            while content:  # a nearly full disk takes a part and refuses the rest
                content = content[self._file.write(content) :]
        except OSError as error:
            raise self._unusable(error) from error
        self._num_bytes += array.nbytes
        return place

    def _unusable(self, error: OSError) -> RunFolderUnusableError:
        return RunFolderUnusableError(
            f"the frozen backbone's features cannot be stored there ({error.strerror}, "
            f"{self._num_bytes / 1000000000.0:.1f} GB so far)",
            source=self._folder,
            hint=f"free some space, or choose another {option('out')}",
        )
