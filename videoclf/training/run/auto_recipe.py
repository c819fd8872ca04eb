"""``recipe="auto"``: the default recipe with the features that suit the clips best, as the linear probe says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from videoclf.data.dataset import LabelledClip
from videoclf.errors import DatasetInvalidError, UsageInvalidError
from videoclf.option_names import option
from videoclf.progress import Progress
from videoclf.recipe.recipe import Recipe
from videoclf.training.loop.linear_probe import LinearProbe
from videoclf.training.run.initialization import choose_recipe

AUTO = "auto"

MAX_SECONDS = 3600.0
"""Of the search: kinds of features that would take longer are left out."""

_KINDS = {
    "128×128, all channels": (),
    "160×160, all channels": ("preprocess.height=160", "preprocess.width=160"),
    "224×224, RGB and differences": (
        "preprocess.height=224",
        "preprocess.width=224",
        'preprocess.channels=["rgb","difference"]',
        "backbone.intermediate_stage_from_top=",
        "augment.cached_views=2",
    ),
}
"""Changes to the default recipe. (The last one has half as many augmented views, because its pictures have three times
as many pixels as the first one's.)"""

_NUM_TIMED = 4
"""Clips whose features are computed to estimate the time of all."""


@dataclass(frozen=True)
class Candidate:
    """A recipe to choose from."""

    name: str
    recipe: Recipe


def auto_candidates(
    init: str | Path | None, overrides: Sequence[str], notice: Callable[[str], object]
) -> list[Candidate]:
    """The default recipe with each kind of features; overrides are applied last, and equal recipes are listed once.

    Raises:
        UsageInvalidError: a model to start from is given, which has features of its own.
        RecipeInvalidError: overrides are invalid, or train the backbone.
    """
    if init is not None:
        raise UsageInvalidError(
            f"{option('init')} brings its own recipe", source=option("recipe", AUTO), hint="use only one of them"
        )
    found: list[Candidate] = []
    for name, changes in _KINDS.items():
        recipe = choose_recipe(None, None, [*changes, *overrides], notice if not found else lambda _text: None)
        if not recipe.backbone.frozen:
            raise UsageInvalidError(
                "chooses among features of a frozen backbone, and this one is trained",
                source=option("recipe", AUTO),
                hint="omit backbone.frozen",
            )
        if recipe not in [each.recipe for each in found]:
            found.append(Candidate(name, recipe))
    return found


@dataclass(frozen=True)
class Choice:
    """The candidate that was chosen, and one line about all."""

    candidate: Candidate
    line: str


class FeatureSearch:
    """Chooses among candidates by the likelihood of training groups that the probe was not fitted to.

    Args:
        candidates: at least one; the first is always tried.
        make_probe: creates the probe of a candidate, once.
        progress: receives each clip, and in one line how long the search will take.
        max_seconds: candidates that would take longer are left out, with a notice.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        make_probe: Callable[[Candidate], LinearProbe],
        progress: Progress,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        self._candidates = list(candidates)
        self._make_probe = make_probe
        self._probes: dict[str, LinearProbe] = {}
        self._progress = progress
        self._max_seconds = max_seconds

    def plan(self, clips: Sequence[LabelledClip]) -> None:
        """Leave out candidates that would take too long for these clips, and say how long the others will take."""
        timed = [clips[int(place)] for place in np.linspace(0, len(clips) - 1, min(_NUM_TIMED, len(clips)))]
        kept: list[Candidate] = []
        total, dropped = 0.0, []
        for candidate in self._candidates:
            self._progress.stage(f"timing {candidate.name}", len(timed))
            probe = self._probe(candidate)  # building it takes time, but only once
            started = time.perf_counter()
            probe.read(timed)
            seconds = (time.perf_counter() - started) / len(timed) * len(clips)
            if kept and total + seconds > self._max_seconds:
                dropped.append(f"{candidate.name} ({_minutes(seconds)})")
                continue
            kept.append(candidate)
            total += seconds
        self._candidates = kept
        text = f"{option('recipe', AUTO)}: {len(kept)} kinds of features of {len(clips)} clips: {_minutes(total)}"
        if dropped:
            text += f"; left out, because all would take more than {_minutes(self._max_seconds)}: {', '.join(dropped)}"
        self._progress.notice(text)

    def choose(self, clips: Sequence[LabelledClip]) -> Choice:
        """The most likely candidate.

        Args:
            clips: of the training side only.

        Raises:
            DatasetInvalidError: no clip can be read.
        """
        best: tuple[float, Candidate] | None = None
        lines = []
        for candidate in self._candidates:
            self._progress.stage(candidate.name, len(clips))
            fitted = self._probe(candidate).fit(clips)
            if fitted is None:
                raise DatasetInvalidError(
                    f"not one of the {len(clips)} clips to train on could be read", hint="see the lines above"
                )
            lines.append(f"{candidate.name} {fitted.ridge.nll:.3f}")
            if best is None or fitted.ridge.nll < best[0]:
                best = (fitted.ridge.nll, candidate)
        assert best is not None  # there is a first one
        return Choice(
            best[1],
            f"chosen features: {best[1].name}; negative log-likelihood of training groups that the probe was not "
            f"fitted to: {', '.join(lines)}",
        )

    def _probe(self, candidate: Candidate) -> LinearProbe:
        if candidate.name not in self._probes:
            self._probes[candidate.name] = self._make_probe(candidate)
        return self._probes[candidate.name]


def _minutes(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"
