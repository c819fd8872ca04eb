"""Examples behind a frozen backbone: every clip is run through it once, and later epochs and runs are served from
memory and disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import torch

from videoclf.data.dataset import LabelledClip
from videoclf.data.feature_entry import ClipFeatures, EntryLayout, Float32Array
from videoclf.data.feature_key import FeatureKey
from videoclf.data.feature_store import FeatureStore
from videoclf.errors import RunFolderUnusable
from videoclf.inference.pipeline import clip_request
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import ClipRequest, ReadWindow, read_clips
from videoclf.training.examples import Draw, Example, Quarantine, Views, crop_steps
from videoclf.training.feature_encoder import FeatureEncoder
from videoclf.training.observer import Observer

Seen = TypeVar("Seen")

_Keys: TypeAlias = tuple[FeatureKey, ...]
_Layouts: TypeAlias = tuple[EntryLayout, ...]
"""Of a clip's views."""


class FeatureExamples:
    """Asks the store for each clip's features; reads and encodes the clips that it lacks, and stores them.

    Args:
        encoder: makes features.
        quarantine: takes clips that fail; nothing of them is stored.
        store: keeps features.
        num_threads: videos decoded at once.
        observer: is told of each clip, wherever its features came from, and once, after the first validation, how many
            came from the cache.
        reading: who decodes, and how.
    """

    def __init__(
        self,
        encoder: FeatureEncoder,
        quarantine: Quarantine,
        store: FeatureStore,
        num_threads: int,
        observer: Observer,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
    ) -> None:
        self._encoder = encoder
        self._quarantine = quarantine
        self._store = store
        self._num_threads = num_threads
        self._observer = observer
        self._has_described = False
        self._reading = reading
        self._settings = encoder.settings(reading)
        self._keys: dict[LabelledClip, _Keys | None] = {}
        self._keys_lock = threading.Lock()
        self._layouts: dict[LabelledClip, _Layouts] = {}
        self._computed: set[LabelledClip] = set()

    @property
    def num_clips(self) -> int:
        """Clips that were asked for and could be had."""
        return len(self._layouts)

    @property
    def num_computed(self) -> int:
        """Those of them of which the store lacked a view, or held one damaged."""
        return len(self._computed)

    def describe(self) -> str:
        """Where the features came from, in one line."""
        kept = f"{self._store.num_bytes_written / 1e6:.1f} MB"
        if self._store.cache is None:
            return f"features: {self.num_computed} clips computed, kept for this run alone ({kept})"
        num_served = self.num_clips - self.num_computed
        text = f"features: {num_served} of {self.num_clips} clips from the cache {self._store.cache.folder}"
        if self.num_computed:
            text += f"; {self.num_computed} computed ({kept})"
        if self._store.cache.num_damaged:
            text += f"; {self._store.cache.num_damaged} files there were damaged and are rebuilt"
        return text

    def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
        """See `Examples`."""
        found = self.ensure([draw.clip for draw in draws])
        for draw, layouts in zip(draws, found, strict=True):
            yield None if layouts is None else self._draw(draw, layouts[0].num_windows)

    def _draw(self, draw: Draw, num_windows: int) -> Example | None:
        rng, views = draw.rng(), self._encoder.views_to_train_on
        window, view = int(rng.integers(num_windows)), views[int(rng.integers(len(views)))]
        if (features := self._load(draw.clip, window, view)) is None:
            return None
        min_crop_share = self._encoder.recipe.training.min_crop_share
        return Example(crop_steps(torch.from_numpy(features), min_crop_share, rng), draw.clip.label)

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Views], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """See `Examples`."""
        for clip, layouts in zip(clips, self.ensure(clips), strict=True):
            if layouts is None:
                continue
            seen = []
            for window in range(layouts[0].num_windows):
                found = (self._load(clip, window, view) for view in self._encoder.views_to_test_on)
                views = tuple(torch.from_numpy(features) for features in found if features is not None)
                if len(views) < len(self._encoder.views_to_test_on):
                    break
                seen.append(look(views))
            else:
                yield clip, seen
        if not self._has_described:
            self._has_described = True
            self._observer.notice(self.describe())

    def ensure(self, clips: Sequence[LabelledClip]) -> Iterator[tuple[EntryLayout, ...] | None]:
        """What the store holds of each clip's views, in order; what it lacks is computed on the way. None: cannot be
        read."""
        readable = self._quarantine.without(clips)
        # looked at in the reader's threads, a little ahead: a large data set need not be hashed before its first clip
        fresh = self._compute(clip for clip in dict.fromkeys(readable) if self._find(clip) is None)
        for clip in clips:
            while (layouts := self._find(clip)) is None and clip not in self._quarantine.reasons:
                next(fresh)  # it gives the clips that are missing in this very order
            self._observer.advance()
            yield layouts

    def _find(self, clip: LabelledClip) -> _Layouts | None:
        """None where a view is missing."""
        if clip not in self._layouts and (keys := self._keys_of(clip)) is not None:
            found = [layout for key in keys if (layout := self._store.find(key)) is not None]
            if len(found) == len(keys):
                self._layouts[clip] = tuple(found)
        return self._layouts.get(clip)

    def _keys_of(self, clip: LabelledClip) -> _Keys | None:
        """None where the file cannot be read; the reader will say why."""
        with self._keys_lock:
            if self._keys.get(clip) is None:
                content = self._store.contents.sha256(clip.path)
                # frames are shuffled by the file's name
                name = clip.path.name if self._settings[0].order == "shuffled" else ""
                views = (FeatureKey(content, settings, name) for settings in self._settings if content is not None)
                self._keys[clip] = tuple(views) or None
            return self._keys[clip]

    def _load(self, clip: LabelledClip, window: int, view: int) -> Float32Array | None:
        """None where the stored features have gone and the video cannot be read any more."""
        features = self._load_stored(clip, window, view)
        if features is not None:
            return features
        # its file was changed, or has gone, since it was looked at
        for _ in self._compute(iter([clip]), is_trusted=False):
            pass
        if clip in self._quarantine.reasons:
            return None
        features = self._load_stored(clip, window, view)
        if features is None:
            raise RunFolderUnusable(self._store.unreadable)
        return features

    def _load_stored(self, clip: LabelledClip, window: int, view: int) -> Float32Array | None:
        keys = self._keys_of(clip)
        return None if keys is None else self._store.load(keys[view], self._layouts[clip][view], window)

    def _compute(self, clips: Iterator[LabelledClip], *, is_trusted: bool = True) -> Iterator[LabelledClip]:
        """Each clip after it was read and its features were stored, or it was put into quarantine.

        Args:
            clips: what to read.
            is_trusted: whether views that the store has need not be made again.
        """
        asked: deque[LabelledClip] = deque()

        def requests() -> Iterator[ClipRequest]:
            for clip in clips:
                asked.append(clip)
                yield clip_request(clip.path, self._encoder.recipe)

        windows: list[tuple[Float32Array, ...]] = []
        num_frames: list[int] = []
        found: list[EntryLayout | None] = []
        items = read_clips(requests(), self._encoder.resizer, num_threads=self._num_threads, options=self._reading)
        for item in items:
            clip, keys = asked[0], self._keys_of(asked[0])
            if isinstance(item, ReadWindow):
                if not windows:
                    found = [self._store.find(key) if is_trusted else None for key in keys or ()]
                missing = [view for view, layout in enumerate(found) if layout is None]
                content = "" if keys is None else keys[0].content_sha256  # without a key nothing is encoded
                windows.append(
                    self._encoder.encode(item.value, content_sha256=content, window=len(windows), views=missing)
                )
                num_frames.append(len(item.value))
                continue
            asked.popleft()
            if item.failure is not None:
                self._quarantine.add(clip, str(item.failure))
            elif keys is None or self._store.contents.sha256(clip.path) != keys[0].content_sha256:
                self._quarantine.add(clip, f"{clip.path}: was changed while it was read; start again when it is whole")
            else:
                made = iter(zip(*windows, strict=True))
                self._layouts[clip] = tuple(
                    layout or self._store.store(key, ClipFeatures(next(made), tuple(num_frames)))
                    for key, layout in zip(keys, found, strict=True)
                )
                self._computed.add(clip)
            windows, num_frames = [], []
            yield clip
