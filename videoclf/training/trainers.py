"""Networks with their first weights, and their trainers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric

from videoclf.modeling.checkpoint import initialise_from
from videoclf.modeling.classifier import Backbone, VideoClassifier, build_classifier, check_input_size
from videoclf.modeling.pretrained import load_pretrained, open_model
from videoclf.recipe.recipe import Recipe, Training
from videoclf.training.examples import Examples, VariedSteps, VideoExamples
from videoclf.training.feature_examples import FeatureExamples
from videoclf.training.features import FeatureStore
from videoclf.training.fit import Trainer


def build_untrained(
    recipe: Recipe, labels: Sequence[str], init: str | Path | None = None, backbone: Backbone | None = None
) -> VideoClassifier:
    """The network that training starts from: random weights by the recipe's seed, pretrained ones where it names some.

    Args:
        recipe: describes it.
        labels: the classes.
        init: a model whose backbone and temporal weights are taken over.
        backbone: a user's own, with its weights; a copy is used.

    Raises:
        RecipeInvalid: a size that the backbone cannot take, ...
        WeightsUnavailable: weights that cannot be had or do not fit.
    """
    check_input_size(recipe)
    torch.manual_seed(recipe.training.seed)
    classifier = build_classifier(recipe, len(labels), copy.deepcopy(backbone))
    if init is not None:
        other, _ = open_model(init, backbone=copy.deepcopy(backbone))
        initialise_from(classifier, other, source=str(init))
    else:
        load_pretrained(classifier, recipe.backbone)
    return classifier


class TrainerFactory:
    """Makes trainers for one recipe on one device; behind a frozen backbone, all of them share its features.

    Args:
        fabric: device and precision.
        recipe: describes the network and its training.
        labels: the classes, in the order of the logits.
        videos: reads the clips.
        store: keeps features, where the backbone is frozen.
        init: see `build_untrained`.
        backbone: see `build_untrained`.
    """

    def __init__(
        self,
        fabric: Fabric,
        recipe: Recipe,
        labels: Sequence[str],
        videos: VideoExamples,
        store: FeatureStore,
        init: str | Path | None = None,
        backbone: Backbone | None = None,
    ) -> None:
        self._fabric = fabric
        self._recipe = recipe
        self._labels = labels
        self._init = init
        self._backbone = backbone
        self._first: VideoClassifier | None = build_untrained(recipe, labels, init, backbone).to(fabric.device)
        self.examples: Examples = videos
        if recipe.backbone.frozen:
            encoder = copy.deepcopy(self._first).eval()
            self.examples = VariedSteps(FeatureExamples(videos, encoder, recipe, store), recipe.augment)

    def make(self, settings: Training | None = None) -> tuple[VideoClassifier, Trainer]:
        """An untrained network (that which the trainer scores) and its trainer: the same each time.

        Args:
            settings: in place of the recipe's section, of which the seed may differ.
        """
        used = settings or self._recipe.training
        if self._first is not None and used == self._recipe.training:
            classifier, self._first = self._first, None
        else:
            recipe = self._recipe.model_copy(update={"training": used})
            classifier = build_untrained(recipe, self._labels, self._init, self._backbone)
        on_features = self._recipe.backbone.frozen
        trainer = Trainer(
            self._fabric, classifier, self.examples, self._labels, used, on_features=on_features,
            augment=self._recipe.augment,
        )  # fmt: skip
        return trainer.scored, trainer
