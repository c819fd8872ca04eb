"""From an untrained network to a calibrated one: what a run and each fold of a cross-validation have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from videoclf.data.splits import Split
from videoclf.evaluation.calibration import calibrate
from videoclf.evaluation.report import EpochRecord
from videoclf.modeling.classifier import VideoClassifier
from videoclf.recipe.header import Calibration
from videoclf.recipe.recipe import Training
from videoclf.training.fit import Trainer

MakeTrainer = Callable[[], tuple[VideoClassifier, Trainer]]
"""A network with its first weights, and its trainer; the same each time."""


@dataclass(frozen=True)
class Learned:
    """A network that has been trained, and what its validation clips said of it."""

    classifier: VideoClassifier
    trainer: Trainer
    calibration: Calibration
    records: tuple[EpochRecord, ...]
    """One an epoch."""
    kept: EpochRecord
    """The epoch whose weights were kept, or up to which the network was trained again."""


def learn(
    make_trainer: MakeTrainer,
    parts: Split,
    settings: Training,
    on_epoch: Callable[[EpochRecord, bool, VideoClassifier], object] = lambda _record, _is_kept, _classifier: None,
    on_refit: Callable[[], object] = lambda: None,
) -> Learned:
    """Train on the training part; choose epoch, temperature and threshold on the validation part; where the recipe says
    so, train again on both. The test part is not looked at.

    Args:
        make_trainer: called once, and once more for a refit.
        parts: the split.
        settings: the recipe's section.
        on_epoch: called after each epoch with its record, whether its weights are to be kept, and the network.
        on_refit: called before the second training.

    Raises:
        DatasetInvalid: no clip of a part could be read.
        TrainingDiverged: the loss is no longer a number.
    """
    classifier, trainer = make_trainer()
    records: list[EpochRecord] = []
    for record, is_kept in trainer.epochs(parts.train, parts.validation):
        records.append(record)
        if is_kept:
            kept, weights = record, trainer.weights()
        on_epoch(record, is_kept, classifier)
    trainer.restore(weights)
    said = trainer.logits(parts.validation)
    calibration = calibrate(said.window_logits, said.num_frames, trainer.targets(said.clips), settings.objective)
    if settings.refit:
        on_refit()
        classifier, trainer = make_trainer()
        trainer.refit([*parts.train, *parts.validation], kept.epoch)
    return Learned(classifier, trainer, calibration, tuple(records), kept)
