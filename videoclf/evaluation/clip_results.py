"""What was said of single clips, beside the truth: the surest mistakes, and where the model was least sure."""

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
class JudgedClip:
    """A clip that was classified."""

    source: str
    """Its path."""
    truth: tuple[str, ...]
    """Its label; where a clip may have several, each of them."""
    ranked: tuple[LabelScore, ...]
    """What it was called, the likeliest first: two labels at least, where the model knows as many."""

    @property
    def name(self) -> str:
        """Of its file."""
        return Path(self.source).name

    @property
    def is_right(self) -> bool:
        """Whether the likeliest label is true."""
        return self.ranked[0].label in self.truth

    @property
    def score(self) -> float:
        """Of the likeliest label."""
        return self.ranked[0].score


def truths_of(clips: Iterable[LabelledClip], objective: Objective) -> list[tuple[str, ...]]:
    """Each clip's labels: the parts of ``walk|talk`` only where a clip may have several."""
    return [clip.names if objective == "sigmoid" else (clip.label,) for clip in clips]


def label_names(clips: Iterable[LabelledClip], objective: Objective) -> tuple[str, ...]:
    """What a model of them is to know, sorted: their classes or, where a clip may have several labels, each of them."""
    return tuple(sorted({name for truth in truths_of(clips, objective) for name in truth}))


def warn_of_joined_labels(clips: Iterable[LabelledClip], objective: Objective) -> list[str]:
    """A line where clips have several labels, and the recipe takes ``walk|talk`` for a class of its own."""
    joined = [] if objective == "sigmoid" else [clip for clip in clips if len(clip.names) > 1]
    if not joined:
        return []
    return [
        f"{counted(len(joined), 'clip')} with several labels, the first {joined[0].label!r}: each such "
        "combination counts as a class of its own; to have every label scored by itself: "
        f"{option('set', 'training.objective=sigmoid')}"
    ]


def judged_clips(outcomes: Sequence[Prediction | Failure], truths: Sequence[tuple[str, ...]]) -> list[JudgedClip]:
    """The clips that could be read."""
    return [
        JudgedClip(outcome.source, truth, outcome.labels[:2])
        for outcome, truth in zip(outcomes, truths, strict=True)
        if isinstance(outcome, Prediction)
    ]


def surest_mistakes(clips: Iterable[JudgedClip], num: int) -> list[JudgedClip]:
    """Wrong clips, the highest score first; one that was judged several times (with several seeds) stands once."""
    return _first_of_each(sorted((clip for clip in clips if not clip.is_right), key=lambda clip: -clip.score), num)


def least_sure(clips: Iterable[JudgedClip], num: int) -> list[JudgedClip]:
    """Right or wrong, the lowest score first; each once."""
    return _first_of_each(sorted(clips, key=lambda clip: clip.score), num)


def _first_of_each(clips: Iterable[JudgedClip], num: int) -> list[JudgedClip]:
    first: dict[str, JudgedClip] = {}
    for clip in clips:
        first.setdefault(clip.source, clip)
    return list(first.values())[:num]
