"""The whole network, composed of a backbone, a temporal model and a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoclf.errors import RecipeInvalidError, one_line
from videoclf.modeling.backbones.clip_networks import ClipBackbone, build_backbone3d
from videoclf.modeling.backbones.frame_networks import FrameBackbone, build_backbone2d
from videoclf.modeling.backbones.intermediate_features import with_intermediate_features
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.backbones.stages import freeze_lower_stages
from videoclf.modeling.heads.ridge_layer import RidgeLayer
from videoclf.modeling.temporal.gru import TemporalModel
from videoclf.recipe.backbone_names import backbone_facts
from videoclf.recipe.recipe import Recipe


class VideoClassifier(nn.Module):
    """Computes logits of clips.

    Args:
        backbone: from ``(clips B×T×3V×H×W, num_frames B)`` to ``(features B×T'×D, num_steps B)``, such as
            `FrameBackbone` around any 2D network.
        temporal: from ``(features, num_steps)`` to ``B×E``, such as `TemporalModel`.
        head: from ``B×E`` to ``B×C`` logits.
        ridge: a second classifier of the same features, whose logits are averaged with those of the head. It takes part
            in evaluation mode only: beside a classifier that already fits every training clip, the temporal model would
            find nothing left to learn.
    """

    def __init__(
        self, backbone: nn.Module, temporal: nn.Module, head: nn.Module, ridge: RidgeLayer | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.temporal = temporal
        self.head = head
        self.ridge = ridge

    def with_backbone(self, backbone: nn.Module) -> VideoClassifier:
        """A network of the same other parts (no copies) on another backbone."""
        return VideoClassifier(backbone, self.temporal, self.head, self.ridge)

    def forward(self, clips: Tensor, num_frames: Tensor) -> Tensor:
        """Compute the logits of clips.

        Args:
            clips: ``B×T×3V×H×W`` float32, preprocessed (V views, see `arrange_channels`); values beyond a
                clip's length are ignored.
            num_frames: ``B`` int64, each 1 to T.

        Returns:
            ``B×C``.
        """
        return self.classify(*self.encode(clips, num_frames))

    def encode(self, clips: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the feature sequences, ``B×T'×D``, and their lengths, ``B``; arguments as for `forward`."""
        features, num_steps = self.backbone(clips, num_frames)
        return features, num_steps

    def classify(self, features: Tensor, num_steps: Tensor) -> Tensor:
        """Compute the logits, ``B×C``, of feature sequences that `encode` returned."""
        logits: Tensor = self.head(self.temporal(features, num_steps))
        if self.ridge is None or self.training:
            return logits
        ridge_logits: Tensor = self.ridge(features, num_steps).to(logits.device)
        return torch.lerp(logits, ridge_logits, self.ridge.share.to(logits.device))


def build_classifier(recipe: Recipe, num_classes: int, backbone: Backbone | None = None) -> VideoClassifier:
    """Build the network that a recipe describes, with random weights (from torch's global generator).

    Args:
        recipe: its ``backbone.name`` is ``custom`` if, and only if, a backbone is given.
        num_classes: C.
        backbone: a custom one.

    Raises:
        RecipeInvalidError: a custom backbone is missing or differs from the recipe, or it has fewer stages than should
            be trained.
    """
    built = build_backbone(recipe) if backbone is None else _checked(backbone, recipe)
    temporal = TemporalModel(built.feature_size, recipe.temporal)
    head = nn.Sequential(nn.Dropout(recipe.temporal.dropout), nn.Linear(temporal.output_size, num_classes))
    if recipe.backbone.frozen:
        built.requires_grad_(False)
    elif recipe.backbone.trainable_stages is not None:
        freeze_lower_stages(built, recipe.backbone.trainable_stages)
    ridge = RidgeLayer(built.feature_size, num_classes, recipe.head.first_ridge_share) if recipe.head.ridge else None
    return VideoClassifier(built, temporal, head, ridge)


def build_backbone(recipe: Recipe) -> Backbone:
    """Build the backbone that a recipe names, with random weights.

    Raises:
        RecipeInvalidError: the name is ``custom``, or timm is not installed or does not have the network.
    """
    facts = backbone_facts(recipe.backbone.name)
    num_views = len(recipe.preprocess.channels)
    if facts.kind == "2d":
        built = build_backbone2d(facts, num_views=num_views, has_temporal_shift=recipe.backbone.temporal_shift)
        spec = recipe.backbone
        return (
            built
            if spec.intermediate_stage_from_top is None
            else with_intermediate_features(built, spec.intermediate_stage_from_top, spec.intermediate_grid)
        )
    if facts.kind == "3d":
        return build_backbone3d(facts, temporal_stride=recipe.backbone.temporal_stride, num_views=num_views)
    raise RecipeInvalidError(
        "a custom network must be passed in from Python: videoclf.train(..., backbone=...), "
        "videoclf.load(..., backbone=...)",
        source="backbone.name = 'custom'",
    )


def check_input_size(recipe: Recipe, backbone: nn.Module | None = None) -> None:
    """Check before a video is read that the network accepts the recipe's image size; some refuse small ones, or all but
    one.

    Args:
        recipe: its height and width are tried.
        backbone: the result of `build_backbone` on torch's meta device, where trying is cheap; built if not given.

    Raises:
        RecipeInvalidError: the network does not accept this size.
    """
    if recipe.backbone.name == "custom":
        return
    if backbone is None:
        with torch.device("meta"):
            backbone = build_backbone(recipe)
    backbone.eval()
    spec = recipe.preprocess
    clips = torch.empty(1, 3, 1, spec.height, spec.width, device="meta")
    try:
        if isinstance(backbone, ClipBackbone):
            backbone.tail(backbone.network(clips, None)[0][:, :, 0])
        elif isinstance(backbone, FrameBackbone):
            backbone.network(clips[:, :, 0])
    except NotImplementedError:
        return  # the meta device lacks an operation of it, which says nothing of the size: its first video will tell
    except (RuntimeError, AssertionError, ValueError) as error:
        raise RecipeInvalidError(
            f"{recipe.backbone.name} does not accept such images ({one_line(error)})",
            source=f"preprocess.height, width = {spec.height}, {spec.width}",
            hint="choose another size",
        ) from error


def _checked(backbone: Backbone, recipe: Recipe) -> Backbone:
    if not isinstance(backbone, FrameBackbone | ClipBackbone):
        raise TypeError(
            f"expected a FrameBackbone or a ClipBackbone around the network, got a {type(backbone).__name__}"
        )
    stride = backbone.temporal_stride if isinstance(backbone, ClipBackbone) else 1
    if recipe.backbone.name == "custom" and recipe.backbone.temporal_stride != stride:
        raise RecipeInvalidError(
            f"the given backbone has {stride}",
            source=f"backbone.temporal_stride = {recipe.backbone.temporal_stride}",
        )
    if recipe.backbone.name != "custom":
        raise RecipeInvalidError(
            "a backbone was given, so the name in the recipe must be 'custom'",
            source=f"backbone.name = {recipe.backbone.name!r}",
        )
    if backbone.num_views != len(recipe.preprocess.channels):
        raise RecipeInvalidError(
            f"the given backbone takes {backbone.num_views}",
            source=f"preprocess.channels = {list(recipe.preprocess.channels)}",
            hint=f"give it num_views={len(recipe.preprocess.channels)}",
        )
    return backbone
