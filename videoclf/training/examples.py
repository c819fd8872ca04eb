"""What the training loop trains on: frames read anew every epoch, or, behind a frozen backbone, features read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.inference.pipeline import clip_request
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import Chunks, ReadWindow, read_clips
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.preprocess import preprocess_window
from videoclf.recipe.recipe import Recipe
from videoclf.training.features import FeatureStore, StoredFeatures
from videoclf.training.observer import Observer

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class Example:
    """One clip as the network takes it in this epoch."""

    steps: Tensor
    """``T×3×H×W`` frames or ``T×D`` features, float32."""
    label: str

    def __len__(self) -> int:
        return len(self.steps)


class Examples(Protocol):
    """Where examples come from. Clips that fail are named once and passed over."""

    def for_training(self, clips: Sequence[LabelledClip], rng: np.random.Generator) -> Iterator[Example]:
        """One augmented window of each clip, in the order given."""
        ...

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Tensor], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """Each clip with what ``look`` made of each of its windows; windows come one by one and are not kept."""
        ...


class Quarantine:
    """Clips that could not be read: named once, then left out."""

    def __init__(self, observer: Observer) -> None:
        self.reasons: dict[LabelledClip, str] = {}
        self._observer = observer

    def add(self, clip: LabelledClip, reason: str) -> None:
        """Leave a clip out from now on."""
        if clip not in self.reasons:
            self.reasons[clip] = reason
            self._observer.notice(reason)

    def without(self, clips: Sequence[LabelledClip]) -> list[LabelledClip]:
        """Those of the clips that can be read, as far as is known."""
        return [clip for clip in clips if clip not in self.reasons]


class VideoExamples:
    """Reads videos anew each time; the whole network is trained.

    Args:
        recipe: how to sample, prepare and augment.
        quarantine: takes clips that fail.
        num_threads: videos decoded at once.
        on_clip: called after each clip that was read.
        reading: who decodes, and how.
    """

    def __init__(
        self,
        recipe: Recipe,
        quarantine: Quarantine,
        num_threads: int,
        on_clip: Callable[[], None],
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
    ) -> None:
        self._recipe = recipe
        self._quarantine = quarantine
        self._num_threads = num_threads
        self._on_clip = on_clip
        self._reading = reading

    def for_training(self, clips: Sequence[LabelledClip], rng: np.random.Generator) -> Iterator[Example]:
        """See `Examples`."""
        readable = self._quarantine.without(clips)
        seeds = rng.integers(2**32, size=len(readable)).tolist()
        for clip, windows in self._read(readable, seeds, lambda window: window):
            steps = crop_steps(windows[0], self._recipe.training.min_crop_share, rng)
            if self._recipe.training.horizontal_flip and rng.random() < 0.5:
                steps = steps.flip(-1)
            yield Example(steps, clip.label)

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Tensor], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """See `Examples`."""
        readable = self._quarantine.without(clips)
        return self._read(readable, [None] * len(readable), look)

    def _read(
        self, clips: Sequence[LabelledClip], window_seeds: Sequence[int | None], look: Callable[[Tensor], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        requests = (
            clip_request(clip.path, self._recipe, window_seed=seed)
            for clip, seed in zip(clips, window_seeds, strict=True)
        )
        windows: list[Seen] = []
        items = read_clips(requests, self._preprocess, num_threads=self._num_threads, options=self._reading)
        for item in items:
            if isinstance(item, ReadWindow):
                windows.append(look(item.value))
                continue
            self._on_clip()
            clip = clips[item.request_index]
            if item.failure is None:
                yield clip, windows
            else:
                self._quarantine.add(clip, str(item.failure))
            windows = []

    def _preprocess(self, chunks: Chunks) -> Tensor:
        return preprocess_window(chunks, self._recipe.preprocess)


class FeatureExamples:
    """Runs every video through the frozen backbone once, when it is first asked for, keeps the features (of each clip,
    and of its mirror image where the recipe flips), and serves later epochs from there.

    Args:
        videos: reads them.
        classifier: on its device; its backbone is frozen.
        recipe: how to augment.
        store: keeps the features.
    """

    def __init__(self, videos: VideoExamples, classifier: VideoClassifier, recipe: Recipe, store: FeatureStore) -> None:
        self._videos = videos
        self._classifier = classifier
        self._recipe = recipe
        self._store = store
        self._device = next(classifier.parameters()).device

    def for_training(self, clips: Sequence[LabelledClip], rng: np.random.Generator) -> Iterator[Example]:
        """See `Examples`."""
        for clip, windows in self._places(clips):
            views = windows[rng.integers(len(windows))]
            steps = self._store.load(views[rng.integers(len(views))])
            yield Example(crop_steps(steps, self._recipe.training.min_crop_share, rng), clip.label)

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Tensor], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """See `Examples`."""
        for clip, windows in self._places(clips):
            yield clip, [look(self._store.load(views[0])) for views in windows]

    def _places(self, clips: Sequence[LabelledClip]) -> Iterator[tuple[LabelledClip, list[list[StoredFeatures]]]]:
        """Where the features of each clip lie, in order; those that are new are computed on the way."""
        unknown = [clip for clip in dict.fromkeys(clips) if clip not in self._store]
        fresh = self._videos.for_validation(unknown, self._encode_views)
        upcoming = next(fresh, None)
        for clip in clips:
            if upcoming is not None and upcoming[0] == clip:
                self._store.put(*upcoming)
                upcoming = next(fresh, None)
            if clip in self._store:  # not one that could not be read
                yield clip, self._store.places(clip)

    def _encode_views(self, window: Tensor) -> list[Tensor]:
        views = [window, window.flip(-1)] if self._recipe.training.horizontal_flip else [window]
        return [_encode(self._classifier, view, self._device) for view in views]


@torch.inference_mode()
def _encode(classifier: VideoClassifier, window: Tensor, device: torch.device) -> Tensor:
    num_frames = torch.tensor([len(window)], device=device)
    features, _ = classifier.encode(window[None].to(device), num_frames)
    return features[0].float().cpu().clone()


def crop_steps(steps: Tensor, min_share: float, rng: np.random.Generator) -> Tensor:
    """A random contiguous part of at least this share of the steps, and one step at least."""
    shortest = max(1, round(len(steps) * min_share))
    num_steps = int(rng.integers(shortest, len(steps) + 1))
    start = int(rng.integers(len(steps) - num_steps + 1))
    return steps[start : start + num_steps]
