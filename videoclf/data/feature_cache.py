"""Features of frozen backbones, kept on disk from run to run.

One file an entry, in folders by the first two digits of its key's digest, and an index of what video files hold.
Processes may share a folder without locks: files appear whole, and two that write the same key write the same features.
Deleting the folder, or any file in it, is safe at any moment: what is missing is computed anew.
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
    """Where features are kept unless the user says otherwise; see `cache_folder`."""
    return cache_folder("features")


@dataclass(frozen=True)
class CacheSize:
    """How much a cache holds."""

    num_entries: int
    """Views of clips."""
    size_bytes: int
    """Of all its files, the index among them."""


class FeatureCache:
    """A folder of features.

    Args:
        folder: made when something is first kept there; by default `default_cache_folder`.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = default_cache_folder() if folder is None else Path(folder)
        self._damaged: set[str] = set()
        self.contents = ContentIndex(self.folder / "contents.jsonl")
        """Of the videos whose features were asked for."""

    @property
    def num_damaged(self) -> int:
        """Entries that were found to be torn, foreign or changed, so far."""
        return len(self._damaged)

    def path_of(self, key: FeatureKey) -> Path:
        """Where the entry lies, or would lie."""
        return self.folder / key.digest[:2] / f"{key.digest[2:]}{_SUFFIX}"

    def find(self, key: FeatureKey, *, is_read_through: bool = False) -> EntryLayout | None:
        """What is there of a clip's view; None where there is nothing of use.

        Args:
            key: of the view.
            is_read_through: also read the features, so that damage shows now and not when they are loaded.
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
        """``T'×D``, the caller's own; None where it has gone or was changed since `find`."""
        try:
            with self.path_of(key).open("rb") as file:
                return read_array(file, layout.places[window])
        except OSError:
            return None
        except EntryDamagedError:
            self._damaged.add(key.digest)
            return None

    def store(self, key: FeatureKey, features: ClipFeatures) -> int:
        """Keep the features of a clip's view; returns how many bytes that takes.

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
                f"features cannot be kept there ({error.strerror})",
                source=self.folder,
                hint=f"free some space, or name another folder: {option('cache')}, VIDEOCLF_CACHE",
            ) from error
        return len(content)

    def size(self) -> CacheSize:
        """Looks at every file; those that go meanwhile do not count."""
        num_entries = size_bytes = 0
        for parent, _, names in os.walk(self.folder):
            for name in names:
                try:
                    size_bytes += Path(parent, name).stat().st_size
                except OSError:
                    continue
                num_entries += name.endswith(_SUFFIX)
        return CacheSize(num_entries, size_bytes)
