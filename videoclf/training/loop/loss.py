"""The loss of a training step."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from videoclf.recipe.training import Training

_MAX_LABEL_WEIGHT = 100
"""A label that one clip of thousands has must not drown all others."""


class Loss:
    """Cross entropy with label smoothing, for true or mixed classes; rare classes may have a larger weight.

    For several labels (``objective = "sigmoid"``) it is the binary cross entropy of each; smoothing moves targets
    towards one half, and rare labels have a larger weight where they are present.

    Args:
        settings: the recipe's section.
        truth_NC: ``N×C`` float for all training clips, 1 if a clip has a class: their frequencies are used.
        has_soft_targets: whether clips are mixed, so that a clip may have shares of two classes.
    """

    def __init__(self, settings: Training, truth_NC: Tensor, *, has_soft_targets: bool) -> None:
        self._smoothing = settings.label_smoothing
        self._has_soft_targets = has_soft_targets
        self._objective = settings.objective
        self._positive_weight_C: Tensor | None = None
        if settings.objective == "sigmoid" and settings.class_balance == "loss":
            self._positive_weight_C = label_weights(truth_NC)
        self._weight_C = class_weights(truth_NC) if settings.class_balance == "loss" else None

    def __call__(self, logits_BC: Tensor, truth_BC: Tensor) -> Tensor:
        """The mean over the clips of a batch, in nats.

        Args:
            logits_BC: ``B×C``.
            truth_BC: ``B×C`` float, rows that add up to 1; for several labels, each from 0 to 1.
        """
        if self._objective == "sigmoid":
            weight_C = None if self._positive_weight_C is None else self._positive_weight_C.to(truth_BC)
            smoothed_BC = truth_BC * (1 - self._smoothing) + self._smoothing / 2
            return binary_cross_entropy_with_logits(logits_BC, smoothed_BC, pos_weight=weight_C)
        target = truth_BC if self._has_soft_targets else truth_BC.argmax(dim=1)
        if self._weight_C is None:
            return cross_entropy(logits_BC, target, label_smoothing=self._smoothing)
        # cross_entropy's own weights are divided by their sum in the batch: a rare class alone in it would gain nothing
        loss_B = cross_entropy(logits_BC, target, label_smoothing=self._smoothing, reduction="none")
        return (loss_B * (truth_BC @ self._weight_C.to(truth_BC))).mean()


def label_weights(truth_NC: Tensor) -> Tensor:
    """``C`` weights of present labels: the number of clips without the label for each clip with it, at most 100."""
    num_clips_C = truth_NC.sum(dim=0)
    return ((len(truth_NC) - num_clips_C) / num_clips_C.clamp(min=1)).clamp(1 / _MAX_LABEL_WEIGHT, _MAX_LABEL_WEIGHT)


def class_weights(truth_NC: Tensor) -> Tensor:
    """``C`` weights, inverse to the number of clips of a class, with mean 1 over the clips; 0 for a class without
    clips."""
    num_clips_C = truth_NC.sum(dim=0)
    num_classes = int((num_clips_C > 0).sum())
    return (len(truth_NC) / (num_classes * num_clips_C)).where(num_clips_C > 0, 0)
