"""Caches the features of frozen backbones on disk, from run to run.

One file per entry, in folders named by the first two digits of its key's digest, and an index of the content of video
files. Processes may share a folder without locks: files appear complete, and two that write the same key write the same
features. Deleting the folder, or any file in it, is safe at any time: what is missing is computed again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from videoclf.caches import cache_folder
from videoclf.data.content_index import ContentIndex
from videoclf.data.feature_entry import (
    ClipFeatures,
    EntryDamagedError,
    EntryLayout,
    Float32Array,
    read_array,
    read_layout,
)
from videoclf.data.feature_entry import pack as pack_entry
from videoclf.data.feature_key import FeatureKey
from videoclf.errors import RunFolderUnusableError
from videoclf.files import write_shared
from videoclf.option_names import option

_SUFFIX = ".safetensors"


def default_cache_folder() -> Path:
    """The folder for features unless the user chooses another; see `cache_folder`."""
    return cache_folder("features")


@dataclass(frozen=True)
class CacheSize:
    """The size of a cache."""

    num_entries: int
    """Number of cached views of clips."""
    size_bytes: int
    """Size of all its files, including the index."""


class FeatureCache:
    """A folder of features.

    Args:
        folder: created when something is first stored there; by default `default_cache_folder`.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = default_cache_folder() if folder is None else Path(folder)
        self._damaged: set[str] = set()
        self.contents = ContentIndex(self.folder / "contents.jsonl")
        """The content index of the videos whose features were requested."""

    @property
    def num_damaged(self) -> int:
        """Number of entries found so far to be incomplete, foreign or changed."""
        return len(self._damaged)

    def path_of(self, key: FeatureKey) -> Path:
        """The path of the entry, whether it exists or not."""
        return self.folder / key.digest[:2] / f"{key.digest[2:]}{_SUFFIX}"

    def find(self, key: FeatureKey, *, is_read_through: bool = False) -> EntryLayout | None:
        """Look up a clip's view; None if there is no valid entry.

        Args:
            key: the view's key.
            is_read_through: also read the features, so that damage is found now and not when they are loaded.
        """
        try:
            with self.path_of(key).open("rb") as file:
                layout = read_layout(file, key)
                for place in layout.places if is_read_through else ():
                    read_array(file, place)
                return layout
        except OSError:
            return None
        except EntryDamagedError:
            self._damaged.add(key.digest)
            return None

    def load(self, key: FeatureKey, layout: EntryLayout, window: int) -> Float32Array | None:
        """``T'×D``, a new array; None if the entry was deleted or changed since `find`."""
        try:
            with self.path_of(key).open("rb") as file:
                return read_array(file, layout.places[window])
        except OSError:
            return None
        except EntryDamagedError:
            self._damaged.add(key.digest)
            return None

    def store(self, key: FeatureKey, features: ClipFeatures) -> int:
        """Store the features of a clip's view, and return their size in bytes.

        Raises:
            RunFolderUnusableError: the disk is full, or the folder cannot be written.
        """
        path = self.path_of(key)
        content = pack_entry(key, features)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_shared(path, content)
        except OSError as error:
            raise RunFolderUnusableError(
                f"features cannot be stored there ({error.strerror})",
                source=self.folder,
                hint=f"free some space, or choose another folder: {option('cache')}, VIDEOCLF_CACHE",
            ) from error
        return len(content)

    def size(self) -> CacheSize:
        """Measure every file; files that are deleted meanwhile do not count."""
        num_entries = size_bytes = 0
        for parent, _, names in os.walk(self.folder):
            for name in names:
                try:
                    size_bytes += Path(parent, name).stat().st_size
                except OSError:
                    continue
                num_entries += name.endswith(_SUFFIX)
        return CacheSize(num_entries, size_bytes)
