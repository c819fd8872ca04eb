"""Trains on a fold's training side and looks at its test part, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from videoclf.data.dataset import LabelledClip
from videoclf.data.folds import Fold
from videoclf.data.splits import Split
from videoclf.errors import DatasetInvalidError
from videoclf.evaluation.calibration import calibrate
from videoclf.progress import Progress
from videoclf.recipe.header import Calibration
from videoclf.recipe.recipe import Recipe
from videoclf.training.loop.clip_logits import ClipLogits
from videoclf.training.loop.linear_probe import LinearProbe
from videoclf.training.run.auto_recipe import Candidate, FeatureSearch
from videoclf.training.run.fit_and_refit import fit
from videoclf.training.run.trainer_factory import TrainerFactory


@dataclass(frozen=True)
class FoldResult:
    """What training on a fold gave, and what it says of the fold's test part."""

    said: ClipLogits
    calibration: Calibration
    validation_nll: float
    validation_top1: float
    kept_epoch: int
    probe: ClipLogits | None = None
    """What a linear probe on the same features says of the test part."""
    features: str = ""
    """The features that were chosen on the training side; empty if there was no choice."""


class FoldEvaluator:
    """Evaluates folds.

    Args:
        candidates: recipes; of several, each fold chooses one on its training side (`FeatureSearch`).
        make_factory: creates the trainers of a recipe, once.
        labels: the classes, in the order of the logits.
        progress: receives the progress of a choice.
        is_baseline: whether the linear probe is evaluated instead of the network.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        make_factory: Callable[[Recipe], TrainerFactory],
        labels: Sequence[str],
        progress: Progress,
        *,
        is_baseline: bool,
    ) -> None:
        self._candidates = list(candidates)
        self._make_factory = make_factory
        self._factories: dict[str, TrainerFactory] = {}
        self._labels = labels
        self._is_baseline = is_baseline
        self._search = FeatureSearch(candidates, lambda each: _probe_of(self._factory(each)), progress)
        self._chosen: dict[str, Candidate] = {}

    @property
    def probe(self) -> LinearProbe | None:
        """The probe of the first recipe; None if its backbone is trained."""
        return self._factory(self._candidates[0]).probe

    def plan(self, clips: Sequence[LabelledClip]) -> None:
        """Say how long a choice among several recipes takes for these clips."""
        if len(self._candidates) > 1:
            self._search.plan(clips)

    def report_features(self) -> None:
        """Report the origin of the features that were used."""
        for factory in self._factories.values():
            factory.report_features()

    def __call__(self, fold: Fold, seed: int) -> FoldResult:
        """Train with a seed, and evaluate.

        Raises:
            DatasetInvalidError: no clip of a part could be read.
            TrainingDivergedError: the loss is no longer a number.
        """
        candidate = self._candidates[0]
        if len(self._candidates) > 1:
            if fold.name not in self._chosen:
                clips = [*fold.split.train, *fold.split.validation]
                self._chosen[fold.name] = self._search.choose(clips).candidate
            candidate = self._chosen[fold.name]
        factory = self._factory(candidate)
        if self._is_baseline:
            result = _evaluate_probe(_probe_of(factory), fold.split, self._labels)
        else:
            result = _evaluate_network(factory, candidate.recipe, fold.split, seed)
        return replace(result, features=candidate.name)

    def _factory(self, candidate: Candidate) -> TrainerFactory:
        if candidate.name not in self._factories:
            self._factories[candidate.name] = self._make_factory(candidate.recipe)
        return self._factories[candidate.name]


def _probe_of(factory: TrainerFactory) -> LinearProbe:
    assert factory.probe is not None  # recipes to choose from, and those of a baseline, have frozen backbones
    return factory.probe


def _evaluate_network(factory: TrainerFactory, recipe: Recipe, split: Split, seed: int) -> FoldResult:
    settings = recipe.training.model_copy(update={"seed": seed})
    fitted = fit(
        lambda: factory.make(settings), split, settings, is_watched=False,
        chooses_ridge_share=recipe.head.chooses_ridge_share,
    )  # fmt: skip
    said = fitted.trainer.logits(split.test)
    kept, beside = fitted.kept, None
    if factory.probe is not None:
        probe = factory.probe.fit([*split.train, *split.validation])
        beside = None if probe is None else factory.probe.logits(probe.ridge, split.test)
    return FoldResult(said, fitted.calibration, kept.validation_loss, kept.validation_top1, kept.epoch, beside)


def _evaluate_probe(probe: LinearProbe, split: Split, labels: Sequence[str]) -> FoldResult:
    position = {label: i for i, label in enumerate(labels)}
    clips = [*split.train, *split.validation]
    fitted = probe.fit(clips)
    if fitted is None:
        raise DatasetInvalidError(
            f"not one of the {len(clips)} clips to train on could be read", hint="see the lines above"
        )
    left_out = ClipLogits(fitted.clips, [[row] for row in fitted.left_out_logits], [[1]] * len(fitted.clips))
    targets = [position[clip.label] for clip in fitted.clips]
    calibration = calibrate(left_out.window_logits, left_out.num_frames, targets, units=left_out.units)
    nll, top1 = left_out.score(targets)
    return FoldResult(probe.logits(fitted.ridge, split.test), calibration, nll, top1, kept_epoch=0)
