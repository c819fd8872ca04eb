"""The examples of the training loop, and those whose frames are read again every epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.errors import DatasetInvalidError
from videoclf.inference.pipeline import clip_request
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import Chunks, ClipRequest, ReadWindow, Transform, read_clips
from videoclf.modeling.preprocess import arrange_channels
from videoclf.option_names import option
from videoclf.progress import Progress
from videoclf.recipe.augment import Augment
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.augmentation import FrameAugmentation, draw_speed, vary_steps
from videoclf.training.examples.resizer import CpuResizer, Resizer

Seen = TypeVar("Seen")


Views = tuple[Tensor, ...]
"""One window, ``T×3×H×W`` frames or ``T×D`` features: as it is and, if the recipe tests it, mirrored."""


@dataclass(frozen=True)
class Example:
    """One clip as the network's input in this epoch."""

    steps: Tensor
    """``T×3×H×W`` frames or ``T×D`` features, float32; on a GPU if they were computed there."""
    label: str

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Draw:
    """A clip to train on, and the seed of its augmentation."""

    clip: LabelledClip
    seed: tuple[int, ...]

    def rng(self) -> np.random.Generator:
        """A generator, always in the same state."""
        return np.random.default_rng(self.seed)


class Examples(Protocol):
    """A source of examples. Clips that fail are named once and skipped."""

    def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
        """Yield one augmented window of each clip, in the given order; None for a clip that cannot be read."""
        ...

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """Yield each clip with the result of ``look`` and the number of frames for each of its windows. Windows are
        processed one by one and not kept."""
        ...


DEFAULT_MAX_UNREADABLE_SHARE = 0.05

_MAX_UNREADABLE_OF_FEW = 10
"""So many clips are no reason to stop, whatever share of a small set they are."""


class Quarantine:
    """Clips that could not be read: named once, then left out.

    Args:
        progress: receives a notice for each.
        num_clips: clips in the dataset; None: any number of them may be unreadable.
        max_share: the share of them that may be unreadable, if it is more than ten clips.
    """

    def __init__(
        self, progress: Progress, num_clips: int | None = None, max_share: float = DEFAULT_MAX_UNREADABLE_SHARE
    ) -> None:
        self.reasons: dict[LabelledClip, str] = {}
        self._progress = progress
        self._num_clips = num_clips
        self._max_share = max_share

    def add(self, clip: LabelledClip, reason: str) -> None:
        """Leave a clip out from now on.

        Raises:
            DatasetInvalidError: too many clips have failed now.
        """
        if clip in self.reasons:
            return
        self.reasons[clip] = reason
        self._progress.notice(reason)
        num_failed = len(self.reasons)
        if self._num_clips is None or num_failed <= max(_MAX_UNREADABLE_OF_FEW, self._max_share * self._num_clips):
            return
        raise DatasetInvalidError(
            f"{num_failed} of {self._num_clips} clips could not be read, more than {self._max_share:.0%}",
            hint=f"the lines above say why: repair them, or allow more with {option('max_unreadable')}",
        )

    def restore(self, reasons: Mapping[str, str], clips: Sequence[LabelledClip]) -> None:
        """Leave out clips that were left out before, by path, without a notice."""
        self.reasons.update({clip: reasons[str(clip.path)] for clip in clips if str(clip.path) in reasons})

    def without(self, clips: Sequence[LabelledClip]) -> list[LabelledClip]:
        """The clips without those that are known to be unreadable."""
        return [clip for clip in clips if clip not in self.reasons]


class VideoExamples:
    """Reads videos again each time; the whole network is trained.

    Args:
        recipe: describes sampling, preprocessing and augmentation.
        quarantine: receives clips that fail.
        num_threads: number of videos decoded at the same time.
        on_clip: called after each clip that was read.
        reading: decoder, frame selection, isolation and limits.
        resizer: resizes frames, which stay on its device; None: on the CPU.
    """

    def __init__(
        self,
        recipe: Recipe,
        quarantine: Quarantine,
        num_threads: int,
        on_clip: Callable[[], None],
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
        resizer: Resizer | None = None,
    ) -> None:
        self._recipe = recipe
        self._quarantine = quarantine
        self._num_threads = num_threads
        self._on_clip = on_clip
        self._reading = reading
        self._resizer = resizer or CpuResizer(recipe.preprocess)
        self._augment = FrameAugmentation(recipe.augment) if recipe.augment.augments_frames else None

    def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
        """See `Examples`."""
        is_asked = [draw.clip not in self._quarantine.reasons for draw in draws]
        rngs = deque[np.random.Generator]()

        def requests() -> Iterator[ClipRequest]:  # in the reader's hands a little ahead
            for draw in compress(draws, is_asked):
                rng = draw.rng()
                speed = draw_speed(self._recipe.augment, rng)
                rngs.append(rng)
                yield clip_request(draw.clip.path, self._recipe, window_seed=int(rng.integers(2**32)), speed=speed)

        prepare = self._preprocess if self._augment is None else self._resizer
        clips = [draw.clip for draw in compress(draws, is_asked)]
        read = self._read(clips, requests(), prepare, lambda window: window)
        for draw, is_read in zip(draws, is_asked, strict=True):
            windows = next(read)[1] if is_read else None
            rng = rngs.popleft() if is_read else None
            yield None if windows is None or rng is None else self._vary(windows[0], draw.clip.label, rng)

    def _vary(self, window: Tensor, label: str, rng: np.random.Generator) -> Example:
        if self._augment is not None:  # not in the reader's threads: it draws from torch's one generator
            window = arrange_channels(self._augment(window, rng), self._recipe.preprocess)
        steps = crop_steps(window, self._recipe.training.min_crop_share, rng)
        if self._recipe.training.horizontal_flip and rng.random() < 0.5:
            steps = steps.flip(-1)
        return Example(steps, label)

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """See `Examples`."""
        readable = self._quarantine.without(clips)
        requests = (clip_request(clip.path, self._recipe) for clip in readable)
        read = self._read(readable, requests, self._preprocess, lambda window: look(self._views(window), len(window)))
        return ((clip, seen) for clip, seen in read if seen is not None)

    def _read(
        self,
        clips: Sequence[LabelledClip],
        requests: Iterator[ClipRequest],
        prepare: Transform[Tensor],
        look: Callable[[Tensor], Seen],
    ) -> Iterator[tuple[LabelledClip, list[Seen] | None]]:
        """Each clip, with None if it failed."""
        windows: list[Seen] = []
        items = read_clips(requests, prepare, num_threads=self._num_threads, options=self._reading)
        for item in items:
            if isinstance(item, ReadWindow):
                windows.append(look(item.value))
                continue
            self._on_clip()
            clip = clips[item.request_index]
            if item.failure is not None:
                self._quarantine.add(clip, str(item.failure))
            yield clip, windows if item.failure is None else None
            windows = []

    def _views(self, window: Tensor) -> Views:
        return (window, window.flip(-1)) if self._recipe.testing.horizontal_flip else (window,)

    def _preprocess(self, chunks: Chunks) -> Tensor:
        return arrange_channels(self._resizer(chunks), self._recipe.preprocess)


class VariedSteps:
    """Examples whose steps are already computed, as behind a frozen backbone: speed and jitter select among them.

    Args:
        examples: the source of the steps.
        spec: the recipe's section.
    """

    def __init__(self, examples: Examples, spec: Augment) -> None:
        self._examples = examples
        self._spec = spec

    def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
        """See `Examples`."""
        for draw, example in zip(draws, self._examples.for_training(draws), strict=True):
            if example is None:
                yield None
            else:  # numbers of its own: those that were drawn for the example are not drawn again
                rng = np.random.default_rng((*draw.seed, 1))
                yield Example(vary_steps(example.steps, self._spec, rng), example.label)

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """See `Examples`."""
        return self._examples.for_validation(clips, look)


def crop_steps(steps: Tensor, min_share: float, rng: np.random.Generator) -> Tensor:
    """A random contiguous part with at least this share of the steps, and at least one step."""
    shortest = max(1, round(len(steps) * min_share))
    num_steps = int(rng.integers(shortest, len(steps) + 1))
    start = int(rng.integers(len(steps) - num_steps + 1))
    return steps[start : start + num_steps]
