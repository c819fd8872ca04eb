"""Computes features with a frozen backbone: for which views of a window, and what its features depend on."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor, nn

from videoclf.data.feature_entry import Float32Array
from videoclf.data.feature_key import FeatureSettings
from videoclf.media.options import ReadOptions
from videoclf.media.versions import decoder_version
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.device_map import DeviceMap, apply_device_map
from videoclf.modeling.preprocess import arrange_channels
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.augmentation import FrameAugmentation
from videoclf.training.examples.resizer import CpuResizer, Resizer


@dataclass(frozen=True)
class AugmentedViews:
    """Augmented views of every clip, cached beside the clip as it is."""

    augment: Callable[[Tensor, np.random.Generator], Tensor]
    """Augments one window, ``T×3×height×width`` float32 RGB in [0, 1]; all random numbers come from the generator."""
    num_views: int
    settings: str
    """Everything that ``augment`` depends on, as text: features with another text are not used."""


class FeatureEncoder:
    """Runs a frozen backbone on windows, each separately, so other clips never change a clip's features.

    Args:
        classifier: its backbone is frozen. It is only set to evaluation mode.
        recipe: describes sampling and preprocessing, and whether mirrored views are needed.
        augmented: augmented views.
        resizer: computes the input of `encode`, in the reader's threads; None: on the CPU.
        placement: the device map of the network; None: it stays where it is.
    """

    def __init__(
        self,
        classifier: VideoClassifier,
        recipe: Recipe,
        augmented: AugmentedViews | None = None,
        resizer: Resizer | None = None,
        placement: DeviceMap | None = None,
    ) -> None:
        self.recipe = recipe
        self.resizer = resizer or CpuResizer(recipe.preprocess)
        self._weights_sha256 = hash_weights(classifier.backbone)
        self._network = fold_batch_norms(classifier.eval())  # as prediction runs it, in half the time
        if placement is not None:
            apply_device_map(self._network, placement)
        self._augmented = augmented
        self._device = next(classifier.parameters()).device if placement is None else placement.first

    def without_variants(self) -> FeatureEncoder:
        """An encoder of each window as it is, and of no other view. Its features are the same, also for the cache."""
        recipe, plain = self.recipe, copy.copy(self)
        plain.recipe = recipe.model_copy(
            update={
                "training": recipe.training.model_copy(update={"horizontal_flip": False}),
                "testing": recipe.testing.model_copy(update={"horizontal_flip": False}),
            }
        )
        plain._augmented = None
        return plain

    @property
    def views(self) -> tuple[str, ...]:
        """The views of each window, in order; the first is the window as it is."""
        mirrored = ["mirrored"] if self._has_mirrored else []
        more, variants = self._augmented, " mirrored or not" if self.recipe.training.horizontal_flip else ""
        augmented = [f"augmented{variants} {i}: {more.settings}" for i in range(more.num_views)] if more else []
        return ("as it is", *mirrored, *augmented)

    @property
    def views_to_train_on(self) -> tuple[int, ...]:
        """Positions in `views`."""
        return tuple(
            i for i, view in enumerate(self.views) if view != "mirrored" or self.recipe.training.horizontal_flip
        )

    @property
    def views_to_test_on(self) -> tuple[int, ...]:
        """Positions in `views`."""
        return (0, 1) if self.recipe.testing.horizontal_flip else (0,)

    @property
    def _has_mirrored(self) -> bool:
        return self.recipe.training.horizontal_flip or self.recipe.testing.horizontal_flip

    def settings(self, reading: ReadOptions) -> tuple[FeatureSettings, ...]:
        """Everything that the features of each view depend on, except the clip."""
        recipe = self.recipe
        packages = ["torch", "torchvision", "videoclf", *(["timm"] if recipe.backbone.name.startswith("timm:") else [])]
        first = FeatureSettings(
            decoder=reading.decoder.value,
            decoder_version=decoder_version(reading.decoder),
            picking=reading.picking.value,
            video_stream=reading.video_stream,
            fps=recipe.sampling.fps,
            max_frames=recipe.sampling.max_frames,
            order=recipe.sampling.order,
            preprocess=recipe.preprocess.to_hashed_json(),
            backbone=recipe.backbone.to_hashed_json(exclude={"weights", "frozen", "trainable_stages"}),
            weights_sha256=self._weights_sha256,
            engine=", ".join(
                [*(f"{name} {version(name)}" for name in packages), *filter(None, [self.resizer.implementation])]
            ),
            device=self._device.type,
            precision=_precision(self._device),
            view=self.views[0],
        )
        return tuple(replace(first, view=view) for view in self.views)

    @torch.inference_mode()
    def encode(
        self, rgb_T: Tensor, *, content_sha256: str, window: int, views: Sequence[int]
    ) -> tuple[Float32Array, ...]:
        """Compute the features of views, ``T'×D``.

        Args:
            rgb_T: the result of `resizer`.
            content_sha256: hash of the video, which seeds the augmentation, so that another run gets the same views.
            window: position among the clip's windows.
            views: positions in `views`.
        """
        return tuple(self._run(self._look(view, rgb_T, content_sha256, window)) for view in views)

    def _look(self, view: int, rgb_T: Tensor, content_sha256: str, window: int) -> Tensor:
        """What the network is shown."""
        spec = self.recipe.preprocess
        number = view - 1 - int(self._has_mirrored)
        if self._augmented is None or number < 0:
            arranged = arrange_channels(rgb_T, spec)
            return arranged.flip(-1) if view else arranged
        rng = np.random.default_rng([int(content_sha256, 16), window, number])
        augmented = self._augmented.augment(rgb_T, rng)
        if self.recipe.training.horizontal_flip and rng.random() < 0.5:
            augmented = augmented.flip(-1)
        return arrange_channels(augmented, spec)

    def _run(self, window: Tensor) -> Float32Array:
        num_frames = torch.tensor([len(window)], device=self._device)
        features, _ = self._network.encode(window[None].to(self._device), num_frames)
        steps: Float32Array = features[0].float().cpu().numpy()
        return steps


def make_encoder(
    classifier: VideoClassifier, recipe: Recipe, resizer: Resizer | None = None, placement: DeviceMap | None = None
) -> FeatureEncoder:
    """Create the encoder of a frozen backbone, with augmented views if the recipe augments frames."""
    if not recipe.augment.augments_frames:
        return FeatureEncoder(classifier, recipe, None, resizer, placement)
    pictures = recipe.augment.frame_augmentation
    views = AugmentedViews(FrameAugmentation(pictures), recipe.augment.cached_views, pictures.to_hashed_json())
    return FeatureEncoder(classifier, recipe, views, resizer, placement)


def hash_weights(network: nn.Module) -> str:
    """SHA-256 of a network's weights and statistics, independent of device and memory layout."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _precision(device: torch.device) -> str:
    if device.type == "cpu":
        return "float32"
    return f"float32, matmul {torch.get_float32_matmul_precision()}, tf32 {torch.backends.cudnn.allow_tf32}"
