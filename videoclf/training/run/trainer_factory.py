"""Creates networks with their initial weights, and their trainers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric

from videoclf.data.feature_cache import FeatureCache
from videoclf.data.feature_store import FeatureStore
from videoclf.media.options import ReadOptions
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.device_map import DeviceMap, apply_device_map, whole
from videoclf.progress import Progress
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.training import Training
from videoclf.training.examples.cached_features import FeatureExamples
from videoclf.training.examples.decoded import Examples, Quarantine, VariedSteps, VideoExamples
from videoclf.training.examples.feature_encoder import make_encoder
from videoclf.training.examples.resizer import make_resizer
from videoclf.training.loop.collectives import ProcessGroup, SingleProcess
from videoclf.training.loop.linear_probe import HEAD_VIEWS, LinearProbe
from videoclf.training.loop.trainer import Trainer
from videoclf.training.run.initialization import build_network


@dataclass(frozen=True)
class TrainingSetup:
    """What is trained, and how its clips are read."""

    recipe: Recipe
    """Describes the network and its training."""
    labels: Sequence[str]
    """The classes, in the order of the logits."""
    num_threads: int
    """Videos decoded at once."""
    reading: ReadOptions
    """Decoder, frame selection, isolation and limits."""
    init: str | Path | None = None
    """See `build_network`."""
    backbone: Backbone | None = None
    """See `build_network`."""


class TrainerFactory:
    """Creates trainers for one recipe. Behind a frozen backbone, all of them share its features.

    Args:
        fabric: device and precision.
        setup: what is trained.
        quarantine: receives clips that fail.
        cache: keeps features from run to run, if the backbone is frozen; None: they are kept for this run only.
        folder: for features that are kept only during the run; it must exist when the first is stored.
        progress: receives each clip.
        process_group: the processes that train together.
        placement: the device map of the network; None: all of it on the fabric's device.

    Attributes:
        examples: the source of the trainers' examples.
        probe: fits linear classifiers to the features of a frozen backbone, of clips as they are; None for others.
    """

    def __init__(
        self,
        fabric: Fabric,
        setup: TrainingSetup,
        quarantine: Quarantine,
        cache: FeatureCache | None,
        folder: Path,
        *,
        progress: Progress,
        process_group: ProcessGroup = SingleProcess(),  # noqa: B008  (holds nothing)
        placement: DeviceMap | None = None,
    ) -> None:
        self._process_group = process_group
        self._placement = placement or whole(fabric.device)
        self._fabric = fabric
        self._setup = setup
        recipe, num_threads, reading = setup.recipe, setup.num_threads, setup.reading
        first = self._build(recipe)
        self.examples: Examples
        self._features: FeatureExamples | None = None
        self.probe: LinearProbe | None = None
        self._head_probe: LinearProbe | None = None
        resizer = make_resizer(recipe.preprocess, fabric.device, progress.notice)
        if recipe.backbone.frozen:
            encoder = make_encoder(copy.deepcopy(first), recipe, resizer, self._placement)
            store = FeatureStore(cache, folder, progress.notice)
            self._features = FeatureExamples(encoder, quarantine, store, num_threads, progress, reading)
            plain = FeatureExamples(encoder.without_variants(), quarantine, store, num_threads, progress, reading)
            self.probe = LinearProbe(plain, setup.labels, recipe.training, process_group)
            self._head_probe = LinearProbe(
                self._features, setup.labels, recipe.training, process_group, max_views=HEAD_VIEWS, is_progress=False
            )
            self.examples = VariedSteps(self._features, recipe.augment)
        else:
            self.examples = VideoExamples(recipe, quarantine, num_threads, progress.advance, reading, resizer)
        self._first: VideoClassifier | None = first

    def make(self, settings: Training | None = None) -> tuple[VideoClassifier, Trainer]:
        """Create an untrained network (the one that the trainer scores) and its trainer: the same each time.

        Args:
            settings: used instead of the recipe's section; its seed may differ.
        """
        recipe = self._setup.recipe
        used = settings or recipe.training
        if self._first is not None and used == recipe.training:
            classifier, self._first = self._first, None
        else:
            classifier = self._build(recipe.model_copy(update={"training": used}))
        apply_device_map(classifier, self._placement)
        on_features = recipe.backbone.frozen
        trainer = Trainer(
            self._fabric, classifier, self.examples, self._setup.labels, used, on_features=on_features,
            augment=recipe.augment, process_group=self._process_group, num_in_flight=self._placement.num_devices,
            probe=self._head_probe,
        )  # fmt: skip
        return trainer.scored, trainer

    def report_features(self) -> None:
        """Report the origin of features to the progress, if there are more than it reported before."""
        if self._features is not None:
            self._features.report()

    def _build(self, recipe: Recipe) -> VideoClassifier:
        return build_network(recipe, len(self._setup.labels), self._setup.init, self._setup.backbone)
