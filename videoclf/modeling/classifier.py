"""The whole network: backbone, temporal model, head; parts that are passed in."""

from __future__ import annotations

from torch import Tensor, nn

from videoclf.modeling.backbone2d import build_backbone
from videoclf.modeling.temporal import TemporalModel
from videoclf.recipe.recipe import Recipe


class VideoClassifier(nn.Module):
    """Clips to logits.

    Args:
        backbone: from ``(clips B×T×3V×H×W, num_frames B)`` to ``(features B×T'×D, num_steps B)``, such as
            `FrameBackbone` around any 2D network.
        temporal: from ``(features, num_steps)`` to ``B×E``, such as `TemporalModel`.
        head: from ``B×E`` to ``B×C`` logits.
    """

    def __init__(self, backbone: nn.Module, temporal: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.temporal = temporal
        self.head = head

    def forward(self, clips: Tensor, num_frames: Tensor) -> Tensor:
        """Logits of clips.

        Args:
            clips: ``B×T×3V×H×W`` float32, preprocessed (V views, see `arrange_channels`); what lies beyond a clip's
                length never counts.
            num_frames: ``B`` int64, each 1 to T.

        Returns:
            ``B×C``.
        """
        return self.classify(*self.encode(clips, num_frames))

    def encode(self, clips: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        """The feature sequences, ``B×T'×D``, and their lengths, ``B``; arguments as for `forward`."""
        features, num_steps = self.backbone(clips, num_frames)
        return features, num_steps

    def classify(self, features: Tensor, num_steps: Tensor) -> Tensor:
        """Logits, ``B×C``, of feature sequences that `encode` gave."""
        logits: Tensor = self.head(self.temporal(features, num_steps))
        return logits


def build_classifier(recipe: Recipe, num_classes: int) -> VideoClassifier:
    """The network that a recipe describes, with random weights (from torch's global generator)."""
    backbone = build_backbone(recipe.backbone.name, num_views=len(recipe.preprocess.channels))
    temporal = TemporalModel(backbone.feature_size, recipe.temporal)
    head = nn.Sequential(nn.Dropout(recipe.temporal.dropout), nn.Linear(temporal.output_size, num_classes))
    if recipe.backbone.frozen:
        backbone.requires_grad_(False)
    return VideoClassifier(backbone, temporal, head)
