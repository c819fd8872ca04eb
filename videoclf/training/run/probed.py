"""The linear probe beside a run: what the features alone tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from videoclf.data.dataset import LabelledClip
from videoclf.data.splits import Split
from videoclf.epoch_record import EpochRecord
from videoclf.evaluation.learning_curve import LearningCurve
from videoclf.evaluation.probe_comparison import ProbeComparison, compare_with_probe
from videoclf.progress import Progress
from videoclf.training.loop.linear_probe import LinearProbe


@dataclass(frozen=True)
class Probed:
    """What a linear probe says; nothing if the backbone is trained, because then no features are kept."""

    predicted: Mapping[LabelledClip, str] = field(default_factory=dict)
    """Of the clips of the test part or, if there is none, of the validation part, on which it was then not fitted."""
    learning_curve: LearningCurve | None = None

    def beside(self, correct: Mapping[LabelledClip, bool]) -> ProbeComparison | None:
        """The network beside the probe; None if they have no clip in common.

        Args:
            correct: of each clip, whether the network is correct.
        """
        clips = [clip for clip in correct if clip in self.predicted]
        if not clips:
            return None
        return compare_with_probe(
            [float(correct[clip]) for clip in clips],
            [self.predicted[clip] in clip.names for clip in clips],
            [clip.group or str(clip.path) for clip in clips],
        )

    def beside_epoch(self, kept: EpochRecord) -> ProbeComparison | None:
        """The same on the validation part before a refit, when only the network's accuracy is known."""
        if not self.predicted:
            return None
        top1 = sum(name in clip.names for clip, name in self.predicted.items()) / len(self.predicted)
        return ProbeComparison(
            probe_top1=top1, difference=kept.validation_top1 - top1, standard_error=None,
            num_clips=len(self.predicted), num_units=len(self.predicted),
        )  # fmt: skip


def run_probe(probe: LinearProbe | None, parts: Split, labels: Sequence[str], progress: Progress) -> Probed:
    """Fit the probe to the clips that the network was trained on, and look at those on which it is evaluated.

    Args:
        probe: None if the backbone is trained.
        parts: the split.
        labels: the classes, in the order of the logits.
        progress: receives each clip.
    """
    if probe is None:
        return Probed()
    fitted_to = [*parts.train, *parts.validation] if parts.test else parts.train
    evaluated = parts.test or parts.validation
    progress.stage("linear probe", len(fitted_to) + len(evaluated))
    fitted = probe.fit(fitted_to)
    if fitted is None:
        return Probed()
    predicted = probe.logits(fitted.ridge, evaluated).predicted(labels)
    return Probed(predicted, probe.learning_curve([*parts.train, *parts.validation]))
