"""Predictions of single clips with their true labels: the most confident errors, the lowest-confidence clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data.dataset import LabelledClip
from videoclf.errors import counted
from videoclf.inference.prediction import Failure, LabelScore, Prediction
from videoclf.option_names import option
from videoclf.recipe.training import Objective


@dataclass(frozen=True)
class ClipResult:
    """The result of one clip that was classified."""

    source: str
    """Its path."""
    truth: tuple[str, ...]
    """Its true label; with several labels a clip, each of them."""
    ranked: tuple[LabelScore, ...]
    """The predicted labels, most probable first: at least two, if the model knows as many."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return Path(self.source).name

    @property
    def is_correct(self) -> bool:
        """Whether the most probable label is true."""
        return self.ranked[0].label in self.truth

    @property
    def score(self) -> float:
        """The score of the most probable label."""
        return self.ranked[0].score


def truths_of(clips: Iterable[LabelledClip], objective: Objective) -> list[tuple[str, ...]]:
    """The true labels of each clip. ``walk|talk`` is two labels with ``sigmoid``, and a single one otherwise."""
    return [clip.names if objective == "sigmoid" else (clip.label,) for clip in clips]


def label_names(clips: Iterable[LabelledClip], objective: Objective) -> tuple[str, ...]:
    """The labels that a model of these clips has to know, sorted: their classes or, with ``sigmoid``, each label."""
    return tuple(sorted({name for truth in truths_of(clips, objective) for name in truth}))


def warn_of_joined_labels(clips: Iterable[LabelledClip], objective: Objective) -> list[str]:
    """A warning if clips have several labels but the recipe treats ``walk|talk`` as a class of its own."""
    joined = [] if objective == "sigmoid" else [clip for clip in clips if len(clip.names) > 1]
    if not joined:
        return []
    return [
        f"{counted(len(joined), 'clip')} with several labels, the first {joined[0].label!r}: each such "
        "combination is a class of its own; to score every label separately: "
        f"{option('set', 'training.objective=sigmoid')}"
    ]


def clip_results(outcomes: Sequence[Prediction | Failure], truths: Sequence[tuple[str, ...]]) -> list[ClipResult]:
    """The results of the clips that could be read."""
    return [
        ClipResult(outcome.source, truth, outcome.labels[:2])
        for outcome, truth in zip(outcomes, truths, strict=True)
        if isinstance(outcome, Prediction)
    ]


def most_confident_errors(clips: Iterable[ClipResult], num: int) -> list[ClipResult]:
    """Misclassified clips, highest score first. A clip that was evaluated with several seeds is listed once."""
    return _first_of_each(sorted((clip for clip in clips if not clip.is_correct), key=lambda clip: -clip.score), num)


def lowest_confidence(clips: Iterable[ClipResult], num: int) -> list[ClipResult]:
    """Clips with the lowest scores, correct or not, lowest first. Each is listed once."""
    return _first_of_each(sorted(clips, key=lambda clip: clip.score), num)


def _first_of_each(clips: Iterable[ClipResult], num: int) -> list[ClipResult]:
    first: dict[str, ClipResult] = {}
    for clip in clips:
        first.setdefault(clip.source, clip)
    return list(first.values())[:num]
