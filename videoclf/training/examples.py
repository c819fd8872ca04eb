"""What the training loop trains on, and frames read anew every epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.inference.pipeline import clip_request
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import Chunks, ReadWindow, read_clips
from videoclf.modeling.preprocess import preprocess_window
from videoclf.recipe.recipe import Recipe
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


def crop_steps(steps: Tensor, min_share: float, rng: np.random.Generator) -> Tensor:
    """A random contiguous part of at least this share of the steps, and one step at least."""
    shortest = max(1, round(len(steps) * min_share))
    num_steps = int(rng.integers(shortest, len(steps) + 1))
    start = int(rng.integers(len(steps) - num_steps + 1))
    return steps[start : start + num_steps]
