"""Linear classifiers on statistics of clips' features: the ridge of a network's head, and the linear probe, the
baseline that any recipe should beat."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from videoclf.data.dataset import LabelledClip, names_in
from videoclf.evaluation.learning_curve import LearningCurve
from videoclf.evaluation.likelihood import truth_matrix
from videoclf.modeling.clip_statistics import clip_statistics
from videoclf.modeling.padding import pad_sequences
from videoclf.recipe.training import Training
from videoclf.training.examples.cached_features import FeatureExamples
from videoclf.training.examples.decoded import Seen, Views
from videoclf.training.loop.clip_logits import ClipLogits
from videoclf.training.loop.collectives import ProcessGroup, SingleProcess
from videoclf.training.loop.learning_curve import learning_curve
from videoclf.training.loop.loss import class_weights
from videoclf.training.ridge import Ridge, fit_ridge

Float32Array = npt.NDArray[np.float32]

HEAD_VIEWS = 4
"""Views of each window that the ridge of a head is fitted to: as it is, mirrored, and two augmented ones. Four
augmented ones were not better (docs/accuracy.md), and each costs a row."""

_MAX_ROWS = 4000
"""A ridge needs memory and time for the products of all pairs of rows: at 4000, 1 GB and half a minute."""

_MAX_KEPT = 2 * _MAX_ROWS
"""Of more rows than this, only those of the last call are kept: 0.6 GB of the default recipe's."""


@dataclass(frozen=True)
class FittedRidge:
    """A ridge classifier, and the clips that it was fitted to."""

    ridge: Ridge
    clips: list[LabelledClip]
    """Those that could be read and were used."""
    num_asked: int
    """Number of clips that it was to be fitted to."""

    @property
    def left_out_logits(self) -> Float32Array:
        """``K×C``: the logits of each clip by the classifier without its group."""
        return (self.ridge.left_out / self.ridge.temperature).astype(np.float32)


class LinearProbe:
    """Fits ridge classifiers to clips. What it has read of a clip is kept for the next one.

    Args:
        examples: give the features.
        labels: class names in the order of the scores.
        settings: the recipe's section.
        process_group: the processes that train the same network; each reads a share of the clips, and all fit the same.
        max_views: number of views of each window that it is fitted to at most.
        is_progress: whether the progress receives each clip: not if another pass has just read them all.
    """

    def __init__(
        self,
        examples: FeatureExamples,
        labels: Sequence[str],
        settings: Training,
        process_group: ProcessGroup = SingleProcess(),  # noqa: B008  (holds nothing)
        *,
        max_views: int = 1,
        is_progress: bool = True,
    ) -> None:
        self._is_progress = is_progress
        self._max_views = max_views
        self._examples = examples
        self._position = {label: i for i, label in enumerate(labels)}
        self._settings = settings
        self._process_group = process_group
        self._kept: dict[LabelledClip, list[Float32Array]] = {}

    def read(self, clips: Sequence[LabelledClip]) -> None:
        """Read clips, so that `fit` need not."""
        self._statistics(clips, 1)

    def fit(self, clips: Sequence[LabelledClip]) -> FittedRidge | None:
        """Fit a classifier; groups are left out together.

        Args:
            clips: the clips to train on. Of more than can be fitted at once, fewer views and windows are used, and then
                every n-th clip only.

        Returns:
            None if no clip could be read.
        """
        chosen = _every_nth(clips, _MAX_ROWS)
        num_views = min(self._max_views, max(1, _MAX_ROWS // max(1, len(chosen))))
        windows_of = self._statistics(chosen, num_views)
        readable = [clip for clip in chosen if clip in windows_of]
        if not readable:
            return None
        groups = units_to_leave_out(readable)
        rows: list[Float32Array] = []
        labels: list[str] = []
        units: list[Hashable] = []
        evaluated: list[list[int]] = []
        for clip, group in zip(readable, groups, strict=True):
            as_it_is = []
            for views_VF in windows_of[clip]:
                as_it_is.append(len(labels))
                rows.append(views_VF[:num_views])
                labels += [clip.label] * len(rows[-1])
                units += [group] * len(rows[-1])
            evaluated.append(as_it_is)
        truth_NC = self._truth(labels)
        ridge = fit_ridge(
            np.concatenate(rows),
            truth_NC,
            units,
            evaluated,
            objective=self._settings.objective,
            row_weights=self._row_weights(truth_NC),
        )
        return FittedRidge(ridge, readable, len(clips))

    def learning_curve(self, clips: Sequence[LabelledClip]) -> LearningCurve | None:
        """The probe fitted to 5, 10, 20, … clips of each class; None with too few clips, or several labels a clip."""
        if self._settings.objective == "sigmoid":
            return None
        chosen = _every_nth(clips, _MAX_ROWS)
        statistics = self._statistics(chosen, 1)
        found = [clip for clip in chosen if clip in statistics]
        if not found:
            return None
        rows = np.stack([np.mean([window[0] for window in statistics[clip]], axis=0) for clip in found])
        targets = [self._position[clip.label] for clip in found]
        return learning_curve(rows, targets, units_to_leave_out(found), list(self._position))

    def logits(self, ridge: Ridge, clips: Sequence[LabelledClip]) -> ClipLogits:
        """The logits of the clips that can be read, as they are; windows weigh by their frames. Nothing of them is
        kept."""

        def look(views: Views, num_frames: int) -> tuple[Float32Array, int]:
            return ridge.logits(_statistics_of(views[:1]))[0], num_frames

        seen = self._read(clips, look, max_views=1, max_windows=None)
        found = [clip for clip in clips if clip in seen]
        rows = [[logits for logits, _ in seen[clip]] for clip in found]
        num_frames = [[length for _, length in seen[clip]] for clip in found]
        return ClipLogits(found, rows, num_frames, self._settings.objective)

    def _read(
        self,
        clips: Sequence[LabelledClip],
        look: Callable[[Views, int], Seen],
        *,
        max_views: int,
        max_windows: int | None,
    ) -> dict[LabelledClip, list[Seen]]:
        """What was seen in the windows of each clip that can be read; each process reads its share."""
        mine = clips[self._process_group.rank :: self._process_group.size]
        seen = self._examples.for_statistics(
            mine, look, max_views=max_views, max_windows=max_windows, is_progress=self._is_progress
        )
        return {clip: each for share in self._process_group.gather(dict(seen)) for clip, each in share.items()}

    def _statistics(self, clips: Sequence[LabelledClip], num_views: int) -> dict[LabelledClip, list[Float32Array]]:
        """Of each clip that can be read, the statistics ``V×F`` of each window."""
        max_windows = max(1, _MAX_ROWS // (num_views * max(1, len(clips))))
        missing = [clip for clip in clips if clip not in self._kept or len(self._kept[clip][0]) < num_views]

        self._kept |= self._read(
            missing, lambda views, _num_frames: _statistics_of(views), max_views=num_views, max_windows=max_windows
        )
        found = {clip: self._kept[clip] for clip in clips if clip in self._kept}
        if sum(len(views) for windows in self._kept.values() for views in windows) > _MAX_KEPT:
            self._kept = dict(found)
        return found

    def _row_weights(self, truth_NC: npt.NDArray[np.int64]) -> npt.NDArray[np.float64] | None:
        """Of each row, if the recipe balances classes."""
        if self._settings.class_balance == "none" or self._settings.objective == "sigmoid":
            return None
        truth = torch.from_numpy(truth_NC).double()
        weights: npt.NDArray[np.float64] = (truth @ class_weights(truth)).numpy()
        return weights

    def _truth(self, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        if self._settings.objective == "sigmoid":
            named = [tuple(self._position[name] for name in names_in(label)) for label in labels]
            return truth_matrix(named, len(self._position))
        return truth_matrix([self._position[label] for label in labels], len(self._position))


def units_to_leave_out(clips: Sequence[LabelledClip]) -> list[Hashable]:
    """What is left out with each clip: its group, or only the clip itself where it has none, or where its class would
    have no clip left."""
    groups_of: dict[str, set[str | None]] = {}
    for clip in clips:
        groups_of.setdefault(clip.label, set()).add(clip.group)
    return [clip.path if clip.group is None or len(groups_of[clip.label]) == 1 else clip.group for clip in clips]


def _every_nth(clips: Sequence[LabelledClip], max_clips: int) -> list[LabelledClip]:
    """At most so many, evenly from each class."""
    if len(clips) <= max_clips:
        return list(clips)
    in_order = sorted(clips, key=lambda clip: (clip.label, str(clip.path)))
    return [in_order[round(place)] for place in np.linspace(0, len(in_order) - 1, max_clips)]


@torch.inference_mode()
def _statistics_of(views: Views) -> Float32Array:
    """``V×F``."""
    steps_VTD, num_steps = pad_sequences(views)
    statistics: Float32Array = clip_statistics(steps_VTD.cpu(), num_steps).numpy()
    return statistics
