"""How many clips are enough: what a learning curve says of a dataset."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

_WORTH_SAYING = 0.02
"""A change of accuracy below this is within what other clips would give."""

_MAX_NAMED = 5
"""Classes and confusions that a sentence names."""


class CurvePoint(BaseModel):
    """The linear probe, fitted to at most so many clips of each class."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    num_clips_per_class: int
    top1: float
    recall: dict[str, float]
    """By class."""


class LearningCurve(BaseModel):
    """The linear probe on clips of groups that it was not fitted to, by the number of clips that it was fitted to."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    points: tuple[CurvePoint, ...]
    """At least two, from few clips to all."""
    num_clips: dict[str, int]
    """Number of clips of each class in the dataset."""
    confusion: tuple[tuple[int, ...], ...]
    """Of the last point: true classes are rows, predicted ones columns, in the order of ``num_clips``."""

    @property
    def last_gain(self) -> float:
        """What the last step gave."""
        return self.points[-1].top1 - self.points[-2].top1

    @property
    def lacking(self) -> list[str]:
        """Classes that gained most from the last step and are below the mean: more clips of these help most."""
        before, last = self.points[-2], self.points[-1]
        gains = {label: last.recall[label] - before.recall[label] for label in last.recall if self.num_clips[label]}
        found = [label for label, gain in gains.items() if gain > _WORTH_SAYING and last.recall[label] < last.top1]
        return sorted(found, key=lambda label: -gains[label])

    @property
    def confused(self) -> list[tuple[str, str, float]]:
        """True class, predicted class, and the share of the true class's clips: the largest shares first."""
        labels = list(self.num_clips)
        pairs = [
            (labels[i], labels[j], count / sum(row))
            for i, row in enumerate(self.confusion)
            for j, count in enumerate(row)
            if i != j and count
        ]
        return sorted(pairs, key=lambda pair: -pair[2])

    def describe(self) -> list[str]:
        """Sentences for the report."""
        before, last = self.points[-2], self.points[-1]
        step = f"from {before.num_clips_per_class} to {last.num_clips_per_class} clips a class"
        if self.last_gain > _WORTH_SAYING:
            sentences = [f"The step {step} raised the accuracy by {self.last_gain:.3f}: more clips would help further."]
        else:
            sentences = [
                f"The step {step} changed the accuracy by {self.last_gain:+.3f}: more clips like these would help "
                "little. Clips of other places, people or cameras may."
            ]
        if self.lacking:
            named = ", ".join(
                f"{label} ({self.num_clips[label]} clips, recall {last.recall[label]:.2f})"
                for label in self.lacking[:_MAX_NAMED]
            )
            sentences.append(f"Classes that gained most from more clips, and are still below the mean: {named}.")
        frequent = [pair for pair in self.confused[:_MAX_NAMED] if pair[2] >= 0.1]
        if frequent:
            named = ", ".join(f"{true} as {predicted} ({share:.0%})" for true, predicted, share in frequent)
            sentences.append(f"Most often confused: {named}.")
        return sentences
