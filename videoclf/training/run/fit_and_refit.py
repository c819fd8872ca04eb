"""Trains and calibrates a network: the common part of a run and of each fold of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from videoclf.data.dataset import LabelledClip
from videoclf.data.splits import Split
from videoclf.epoch_record import EpochRecord
from videoclf.evaluation.calibration import calibrate
from videoclf.modeling.classifier import VideoClassifier
from videoclf.recipe.header import Calibration
from videoclf.recipe.training import Training
from videoclf.training.loop.checkpoints import Checkpoints, State
from videoclf.training.loop.position import AfterStep, Position, Spent
from videoclf.training.loop.trainer import Trainer
from videoclf.training.run.interruption import Interrupted

MakeTrainer = Callable[[], tuple[VideoClassifier, Trainer]]
"""Creates a network with its initial weights, and its trainer; the same each time."""

_OnEpoch = Callable[[Sequence[EpochRecord], bool, VideoClassifier], object]


@dataclass(frozen=True)
class FitResult:
    """A trained network, and its results on the validation clips."""

    classifier: VideoClassifier
    trainer: Trainer
    calibration: Calibration
    records: tuple[EpochRecord, ...]
    """One for each validated epoch."""
    kept: EpochRecord
    """The epoch whose weights were kept, or up to which the network was trained again."""


def fit(
    make_trainer: MakeTrainer,
    parts: Split,
    settings: Training,
    on_begin: Callable[[int], object] = lambda _epoch: None,
    on_epoch: _OnEpoch = lambda _records, _is_kept, _classifier: None,
    on_step: AfterStep = lambda _place, _spent: None,
    on_refit: Callable[[], object] = lambda: None,
    checkpoints: Checkpoints | None = None,
    *,
    is_watched: bool = True,
    chooses_ridge_share: bool = False,
    on_prepare: Callable[[int], object] = lambda _num_clips: None,
) -> FitResult:
    """Train on the training part; choose epoch, temperature and threshold on the validation part; if the recipe says
    so, train again on both. The test part is not used.

    Args:
        make_trainer: called once, and again for a refit.
        parts: the split.
        settings: the recipe's section.
        on_begin: called once before training, with the number of the first epoch (not always 1).
        on_epoch: called after each validated epoch with all records so far, whether its weights are kept, and the
            network.
        on_step: called after each step, also of the refit.
        on_refit: called before the second training.
        checkpoints: where progress is stored, and from which training continues.
        is_watched: see `Trainer.epochs`.
        chooses_ridge_share: whether validation also chooses the share of the head's ridge.
        on_prepare: called before the first training, with the number of clips whose features it needs first.

    Raises:
        DatasetInvalidError: no clip of a part could be read.
        TrainingDivergedError: the loss is no longer a number.
        Interrupted: after a checkpoint was written.
    """
    current = _Fit(make_trainer, settings, checkpoints, on_step, chooses_ridge_share=chooses_ridge_share)
    if checkpoints is not None and (state := checkpoints.load([*parts.train, *parts.validation])) is not None:
        current.restore(state)
    try:
        if current.calibration is None:
            on_prepare(len(parts.train))
            current.prepare(parts.train)
            on_begin(current.epoch)
            current.first(parts, on_epoch, is_watched=is_watched)
        if settings.refit:
            on_refit()
            current.again(parts)
    except Interrupted:
        current.keep()
        raise
    current.keep()  # what comes after it may be interrupted too
    return current.result()


class _Fit:
    """One call of `fit`: what it has so far, to be kept and brought back.

    Attributes:
        calibration: what validation chose; None until the first training is over.
    """

    def __init__(
        self, make_trainer: MakeTrainer, settings: Training, checkpoints: Checkpoints | None, on_step: AfterStep,
        *, chooses_ridge_share: bool,
    ) -> None:  # fmt: skip
        self._chooses_ridge_share = chooses_ridge_share
        self._on_step = on_step
        self._make_trainer = make_trainer
        self._settings = settings
        self._checkpoints = checkpoints
        self._records: list[EpochRecord] = []
        self._kept_epoch = 0
        self._kept_weights: dict[str, Tensor] = {}
        self.calibration: Calibration | None = None
        self._take_trainer()

    @property
    def epoch(self) -> int:
        """Where it is."""
        return self._trainer.position.epoch

    def prepare(self, clips: Sequence[LabelledClip]) -> None:
        """What comes before the first step."""
        self._trainer.prepare(clips)

    def first(self, parts: Split, on_epoch: _OnEpoch, *, is_watched: bool) -> None:
        """Train, keep the best epoch, calibrate."""
        trainer = self._trainer
        for record, is_kept in trainer.epochs(parts.train, parts.validation, is_watched=is_watched):
            self._records.append(record)
            if is_kept:
                self._kept_epoch, self._kept_weights = record.epoch, trainer.weights()
            on_epoch(self._records, is_kept, self._classifier)
            self._checkpoint()
        trainer.restore(self._kept_weights)
        share = trainer.choose_ridge_share(parts.validation) if self._chooses_ridge_share else None
        said = trainer.logits(parts.validation)
        self.calibration = calibrate(
            said.window_logits, said.num_frames, trainer.targets(said.clips), self._settings.objective, said.units
        )
        if self._settings.refit:
            self._take_trainer()
            if share is not None:
                self._trainer.set_ridge_share(share)

    def again(self, parts: Split) -> None:
        """Train on the validation clips too."""
        self._trainer.refit([*parts.train, *parts.validation], self._kept_epoch)

    def result(self) -> FitResult:
        """What came of it."""
        assert self.calibration is not None  # `first` gave it
        [kept] = [record for record in self._records if record.epoch == self._kept_epoch]
        return FitResult(self._classifier, self._trainer, self.calibration, tuple(self._records), kept)

    def state(self) -> State:
        """All of it, as tensors and primitives."""
        return {
            "trainer": self._trainer.state(),
            "records": [record.model_dump() for record in self._records],
            "kept_epoch": self._kept_epoch,
            "kept_weights": self._kept_weights,
            "calibration": None if self.calibration is None else self.calibration.model_dump(),
        }

    def keep(self) -> None:
        """Write a checkpoint now."""
        if self._checkpoints is not None:
            self._checkpoints.save(self.state())

    def restore(self, state: State) -> None:
        """Go on from what `state` gave."""
        self._trainer.restore_state(state["trainer"])
        self._records = [EpochRecord.model_validate(record) for record in state["records"]]
        self._kept_epoch, self._kept_weights = state["kept_epoch"], state["kept_weights"]
        self.calibration = state["calibration"] and Calibration.model_validate(state["calibration"])

    def _take_trainer(self) -> None:
        self._classifier, self._trainer = self._make_trainer()
        self._trainer.after_step = self._after_step

    def _after_step(self, position: Position, spent: Spent) -> None:
        self._checkpoint()
        self._on_step(position, spent)

    def _checkpoint(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.save_if_due(self.state)
