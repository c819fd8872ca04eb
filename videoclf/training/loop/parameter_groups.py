"""Learning rates and weight decay of the network's weights."""

from __future__ import annotations

from typing import cast

from torch import nn

from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.backbones.stages import backbone_stages
from videoclf.modeling.classifier import VideoClassifier
from videoclf.recipe.training import Training


def parameter_groups(classifier: VideoClassifier, settings: Training) -> list[dict[str, object]]:
    """Parameter groups for an optimizer: matrices have weight decay, vectors (biases, norms) do not. The backbone may
    have its own learning rate, and each of its stages a lower one than the stage above."""
    rate = settings.learning_rate
    parts = [*_backbone_rates(classifier, settings), (classifier.temporal, rate), (classifier.head, rate)]
    groups: list[dict[str, object]] = []
    for part, part_rate in parts:
        parameters = [p for p in part.parameters() if p.requires_grad]
        for chosen, decay in (
            ([p for p in parameters if p.ndim >= 2], settings.weight_decay),
            ([p for p in parameters if p.ndim < 2], 0.0),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": part_rate, "weight_decay": decay})
    return groups


def _backbone_rates(classifier: VideoClassifier, settings: Training) -> list[tuple[nn.Module, float]]:
    rate = settings.backbone_learning_rate or settings.learning_rate
    if settings.layer_decay == 1:
        return [(classifier.backbone, rate)]
    from_top = reversed(backbone_stages(cast(Backbone, classifier.backbone)))
    return [(stage, rate * settings.layer_decay**k) for k, stage in enumerate(from_top)]
