"""Examples behind a frozen backbone: every clip is run through it once, and later epochs are served from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.modeling.classifier import VideoClassifier
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples import Example, VideoExamples, crop_steps
from videoclf.training.features import FeatureStore, StoredFeatures

Seen = TypeVar("Seen")


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
