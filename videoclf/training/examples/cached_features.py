"""Examples behind a frozen backbone: every clip goes through it once, and later epochs and runs use features from
memory and disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TypeAlias, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.data.feature_entry import ClipFeatures, EntryLayout, Float32Array
from videoclf.data.feature_key import FeatureKey
from videoclf.data.feature_store import FeatureStore
from videoclf.inference.pipeline import clip_request
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import ClipRequest, ReadWindow, read_clips
from videoclf.progress import Progress
from videoclf.training.examples.decoded import Draw, Example, Quarantine, Views, crop_steps
from videoclf.training.examples.feature_encoder import FeatureEncoder

Seen = TypeVar("Seen")

_Keys: TypeAlias = tuple[FeatureKey, ...]
_Layouts: TypeAlias = tuple[EntryLayout, ...]
"""Of a clip's views."""


class FeatureExamples:
    """Gets each clip's features from the store; clips without features are read, encoded and stored.

    Args:
        encoder: computes features.
        quarantine: receives clips that fail; nothing of them is stored.
        store: stores features.
        num_threads: number of videos decoded at the same time.
        progress: receives each clip, whatever the origin of its features, and once, after the first validation, the
            number from the cache.
        reading: decoder, frame selection, isolation and limits.
    """

    def __init__(
        self,
        encoder: FeatureEncoder,
        quarantine: Quarantine,
        store: FeatureStore,
        num_threads: int,
        progress: Progress,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
    ) -> None:
        self._encoder = encoder
        self._quarantine = quarantine
        self._store = store
        self._num_threads = num_threads
        self._progress = progress
        self._told: str | None = None
        self._reading = reading
        self._settings = encoder.settings(reading)
        self._keys: dict[LabelledClip, _Keys | None] = {}
        self._keys_lock = threading.Lock()
        self._layouts: dict[LabelledClip, _Layouts] = {}
        self._computed: set[LabelledClip] = set()

    @property
    def num_clips(self) -> int:
        """Number of requested clips that could be read."""
        return len(self._layouts)

    @property
    def num_computed(self) -> int:
        """Number of these for which the store lacked a view, or contained a damaged one."""
        return len(self._computed)

    def describe(self) -> str:
        """The origin of the features in one line."""
        kept = f"{self._store.num_bytes_written / 1e6:.1f} MB"
        if self._store.cache is None:
            return f"features: {self.num_computed} clips computed, kept for this run only ({kept})"
        num_served = self.num_clips - self.num_computed
        text = f"features: {num_served} of {self.num_clips} clips from the cache {self._store.cache.folder}"
        if self.num_computed:
            text += f"; {self.num_computed} computed ({kept})"
        if self._store.cache.num_damaged:
            text += f"; {self._store.cache.num_damaged} damaged files there were computed again"
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
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """See `Examples`."""
        for clip, layouts in zip(clips, self.ensure(clips), strict=True):
            if layouts is None:
                continue
            seen = self._look_at(clip, layouts[0], self._encoder.views_to_test_on, look)
            if seen is not None:
                yield clip, seen
        if self._told is None:
            self.report()

    def for_statistics(
        self,
        clips: Sequence[LabelledClip],
        look: Callable[[Views, int], Seen],
        *,
        max_views: int,
        max_windows: int | None = None,
        is_progress: bool = True,
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """As `for_validation`, but with the views to train on, the clip as it is first, and not of every window.

        Args:
            clips: the clips.
            look: is called for each window, with its views and its number of frames.
            max_views: number of views of each window at most.
            max_windows: number of windows of each clip at most, evenly spaced; None: all.
            is_progress: whether the progress receives each clip.
        """
        views = self._encoder.views_to_train_on[:max_views]
        for clip, layouts in zip(clips, self.ensure(clips, is_progress=is_progress), strict=True):
            if layouts is None:
                continue
            if (seen := self._look_at(clip, layouts[0], views, look, max_windows)) is not None:
                yield clip, seen

    def _look_at(
        self,
        clip: LabelledClip,
        layout: EntryLayout,
        views: Sequence[int],
        look: Callable[[Views, int], Seen],
        max_windows: int | None = None,
    ) -> list[Seen] | None:
        """The results for each window; None where features have gone and the video cannot be read any more."""
        num_windows = layout.num_windows
        chosen = np.linspace(0, num_windows - 1, min(num_windows, max_windows or num_windows)).round()
        seen = []
        for window in map(int, chosen):
            found = (self._load(clip, window, view) for view in views)
            loaded = tuple(torch.from_numpy(features) for features in found if features is not None)
            if len(loaded) < len(views):
                return None
            seen.append(look(loaded, layout.num_frames[window]))
        return seen

    def report(self) -> None:
        """Report the origin of the features to the progress, unless the same was reported before."""
        text = self.describe()
        if text != self._told:
            self._progress.notice(text)
        self._told = text

    def ensure(
        self, clips: Sequence[LabelledClip], *, is_progress: bool = True
    ) -> Iterator[tuple[EntryLayout, ...] | None]:
        """The stored features of each clip's views, in order; missing ones are computed. None: the clip cannot be read.

        Args:
            clips: may be repeated.
            is_progress: whether the progress receives each clip.
        """
        readable = self._quarantine.without(clips)
        # looked at in the reader's threads, a little ahead: a large data set need not be hashed before its first clip
        fresh = self._compute(clip for clip in dict.fromkeys(readable) if self._find(clip) is None)
        for clip in clips:
            while (layouts := self._find(clip)) is None and clip not in self._quarantine.reasons:
                # it gives the clips that are missing in this very order, but for what another process stored meanwhile
                if next(fresh, None) is None and self._find(clip) is None:
                    _exhaust(self._compute(iter([clip])))
            if is_progress:
                self._progress.advance()
            yield layouts

    def _find(self, clip: LabelledClip) -> _Layouts | None:
        """None where a view is missing."""
        if clip not in self._layouts and (keys := self._keys_of(clip)) is not None:
            found = tuple(takewhile(lambda layout: layout is not None, map(self._store.find, keys)))
            if len(found) == len(keys):
                self._layouts[clip] = cast(_Layouts, found)
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
        _exhaust(self._compute(iter([clip]), distrusted=view))  # was changed, or has gone, since it was looked at
        if clip in self._quarantine.reasons:
            return None
        features = self._load_stored(clip, window, view)
        if features is None:
            raise self._store.unreadable()
        return features

    def _load_stored(self, clip: LabelledClip, window: int, view: int) -> Float32Array | None:
        keys = self._keys_of(clip)
        return None if keys is None else self._store.load(keys[view], self._layouts[clip][view], window)

    def _compute(self, clips: Iterator[LabelledClip], *, distrusted: int | None = None) -> Iterator[LabelledClip]:
        """Each clip after it was read and its features were stored, or it was put into quarantine.

        Args:
            clips: what to read. Of views that the store has nothing is made,
            distrusted: but for this one.
        """
        asked: deque[LabelledClip] = deque()

        def requests() -> Iterator[ClipRequest]:
            for clip in clips:
                asked.append(clip)
                yield clip_request(clip.path, self._encoder.recipe)

        work: _Work | None = None
        items = read_clips(requests(), self._encoder.resizer, num_threads=self._num_threads, options=self._reading)
        for item in items:
            work = work or self._begin(asked[0], distrusted)
            if isinstance(item, ReadWindow):
                work.add(item.value, self._encoder)
                continue
            clip = asked.popleft()
            if item.failure is not None:
                self._quarantine.add(clip, str(item.failure))
            elif work.content_sha256 is None or self._store.contents.sha256(clip.path) != work.content_sha256:
                self._quarantine.add(
                    clip, f"{clip.path}: was changed while it was read; start again when it is complete"
                )
            else:
                self._layouts[clip] = tuple(
                    work.found[view] if view in work.found else self._store.store(key, work.made(view))
                    for view, key in enumerate(work.keys)
                )
                if work.missing:
                    self._computed.add(clip)
            work = None
            yield clip

    def _begin(self, clip: LabelledClip, distrusted: int | None) -> _Work:
        keys = self._keys_of(clip) or ()
        found = {
            view: layout
            for view, key in enumerate(keys)
            if view != distrusted and (layout := self._store.find(key)) is not None
        }
        return _Work(keys, found)


@dataclass
class _Work:
    """A clip that is being read: what there is of it, and what is made of its windows as they arrive."""

    keys: _Keys
    """Of its views; none where the file could not be read to name it."""
    found: dict[int, EntryLayout]
    """By view."""
    windows: list[tuple[Float32Array, ...]] = field(default_factory=list)
    """Of each, the features of the missing views."""
    num_frames: list[int] = field(default_factory=list)

    @cached_property
    def missing(self) -> list[int]:
        """The views that are to be made."""
        return [view for view in range(len(self.keys)) if view not in self.found]

    @property
    def content_sha256(self) -> str | None:
        """Of the file when reading began."""
        return self.keys[0].content_sha256 if self.keys else None

    def add(self, rgb_T: Tensor, encoder: FeatureEncoder) -> None:
        """One window more."""
        content = self.content_sha256 or ""  # without one no view is missing
        self.windows.append(encoder.encode(rgb_T, content_sha256=content, window=len(self.windows), views=self.missing))
        self.num_frames.append(len(rgb_T))

    def made(self, view: int) -> ClipFeatures:
        """The features of a missing view, once all windows are there."""
        place = self.missing.index(view)
        return ClipFeatures(tuple(window[place] for window in self.windows), tuple(self.num_frames))


def _exhaust(iterator: Iterator[object]) -> None:
    """Do all the work that lies behind it."""
    for _ in iterator:
        pass
