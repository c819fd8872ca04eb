"""Finds and stores the features of a run: in memory, in the cache, and in a temporary file if there is no cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from videoclf.data.content_index import ContentIndex
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.feature_entry import ClipFeatures, EntryDamagedError, EntryLayout, Float32Array
from videoclf.data.feature_key import FeatureKey
from videoclf.data.temporary_features import TemporaryFeatures
from videoclf.errors import RunFolderUnusableError
from videoclf.option_names import option

MAX_MEMORY_BYTES = 1 << 30
"""Memory for recently used arrays: with the default recipe, six views of 200 clips of 35 steps."""

_Place: TypeAlias = tuple[str, int]
"""A key's digest and the window."""


class FeatureStore:
    """Uses the cache first, and continues without it if it cannot be written.

    Several threads may call `find`; only one may call the other methods.

    Args:
        cache: None: nothing is kept after the run.
        temporary_folder: for features that the cache cannot store, during the run. None: this is an error.
        notice: called once, with one line, if the cache cannot be written.
        max_memory_bytes: for recently used arrays that are kept in memory.
        is_read_through: whether `find` reads all features, for a caller that checks them without loading them.
    """

    def __init__(
        self,
        cache: FeatureCache | None,
        temporary_folder: Path | None,
        notice: Callable[[str], None],
        *,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        is_read_through: bool = False,
    ) -> None:
        self.cache = cache
        self.contents = ContentIndex(None) if cache is None else cache.contents
        self.num_bytes_written = 0
        """Bytes that `store` wrote to the cache or to the temporary file."""
        self._is_cache_writable = cache is not None
        self._temporary_folder = temporary_folder
        self._temporary: TemporaryFeatures | None = None
        self._notice = notice
        self._max_memory_bytes = max_memory_bytes
        self._is_read_through = is_read_through
        self._memory: OrderedDict[_Place, Float32Array] = OrderedDict()
        self._num_memory_bytes = 0

    def find(self, key: FeatureKey) -> EntryLayout | None:
        """Look up a clip's view."""
        layout = None if self._temporary is None else self._temporary.find(key)
        if layout is None and self.cache is not None:
            layout = self.cache.find(key, is_read_through=self._is_read_through)
        return layout

    def load(self, key: FeatureKey, layout: EntryLayout, window: int) -> Float32Array | None:
        """``T'×D``, shared between callers: do not change it. None if it was deleted or changed on disk since
        `find`."""
        place = (key.digest, window)
        array = self._memory.get(place)
        if array is not None:
            self._memory.move_to_end(place)
            return array
        array = self._read(key, layout, window)
        if array is not None:
            self._remember(place, array)
        return array

    def store(self, key: FeatureKey, features: ClipFeatures) -> EntryLayout:
        """Store the features of a clip's view.

        Raises:
            RunFolderUnusableError: there is no space for them in the cache or in the temporary folder, or they cannot
                be read back.
        """
        self._write(key, features)
        layout = self.find(key)
        if layout is None:
            raise self.unreadable()
        return layout

    def unreadable(self) -> RunFolderUnusableError:
        """The error if what was just written cannot be read back."""
        return RunFolderUnusableError(
            "what is written there cannot be read back",
            source=self._temporary_folder if self.cache is None else self.cache.folder,
            hint=f"check the disk, or choose another folder: {option('cache')}, {option('out')}",
        )

    def _write(self, key: FeatureKey, features: ClipFeatures) -> None:
        if self.cache is not None and self._is_cache_writable:
            try:
                self.num_bytes_written += self.cache.store(key, features)
            except RunFolderUnusableError as error:
                if self._temporary_folder is None:
                    raise
                self._is_cache_writable = False
                self._notice(f"{error}. Until then, new features are kept for this run only")
            else:
                return
        if self._temporary is None:
            assert self._temporary_folder is not None  # without one, an unwritable cache is an error
            self._temporary = TemporaryFeatures(self._temporary_folder)
        self.num_bytes_written += self._temporary.store(key, features)

    def _read(self, key: FeatureKey, layout: EntryLayout, window: int) -> Float32Array | None:
        if self._temporary is not None and self._temporary.find(key) is not None:
            try:
                return self._temporary.load(layout, window)
            except EntryDamagedError:
                return None
        return None if self.cache is None else self.cache.load(key, layout, window)

    def _remember(self, place: _Place, array: Float32Array) -> None:
        self._memory[place] = array
        self._num_memory_bytes += array.nbytes
        while self._num_memory_bytes > self._max_memory_bytes:
            _, oldest = self._memory.popitem(last=False)
            self._num_memory_bytes -= oldest.nbytes
