"""The whole model as one graph that other runtimes can run: from decoded frames to probabilities."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.preprocess import arrange_channels, resize_frames
from videoclf.recipe.header import ModelHeader


class WholeGraph(nn.Module):
    """Computes the scores of one window of one clip, including preprocessing. It has no padding, masks and branches, so
    that exporters can trace it for any number of frames and any size.

    Args:
        classifier: in evaluation mode, on the CPU. It is not changed.
        header: its recipe and calibration are used.

    Raises:
        TypeError: its backbone is neither a `FrameBackbone` nor a `ClipBackbone`.
    """

    def __init__(self, classifier: VideoClassifier, header: ModelHeader) -> None:
        super().__init__()
        backbone = fold_batch_norms(classifier).backbone
        if not isinstance(backbone, FrameBackbone | ClipBackbone):
            raise TypeError(f"a {type(backbone).__name__} cannot be exported; wrap the network in a FrameBackbone")
        self.backbone = backbone
        self.classifier = classifier.with_backbone(nn.Identity())
        self.recipe = header.recipe
        self.num_clips = 2 if self.recipe.testing.horizontal_flip else 1
        self._temperature = header.calibration.temperature
        self._objective = header.objective
        self.eval().requires_grad_(False)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Compute the stages of a prediction, each only from one before it, so that a graph can be cut between them.

        Args:
            frames: ``T×H×W×3`` uint8 RGB, `without_far_sides`.

        Returns:
            The results of `arrange`, `encode` and `classify`, each computed from the last result of the one before.
        """
        resized, items = self.arrange(frames)
        (features,) = self.encode(items)
        return resized, items, features, *self.classify(features)

    def arrange(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Resize frames, ``T×3×height×width``, and arrange the backbone's N items (`to_items`); mirrored ones follow
        the others, if the recipe evaluates both."""
        resized = self.resize(frames)
        clip = arrange_channels(resized, self.recipe.preprocess)
        clips = torch.stack([clip, clip.flip(-1)]) if self.num_clips == 2 else clip[None]
        return resized, self.backbone.to_items(clips)

    def encode(self, items: Tensor) -> tuple[Tensor]:
        """Compute the features of N items."""
        return (self.backbone.run_items(items, self.num_clips),)

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute ``B×T'×D`` sequences, ``C`` logits and ``C`` calibrated probabilities from the features of N
        items."""
        sequences = self.join(features)
        num_steps = torch.ones(self.num_clips, dtype=torch.int64) * sequences.shape[1]
        logits = self.classifier.classify(sequences, num_steps).mean(dim=0)
        scaled = logits / self._temperature
        return sequences, logits, scaled.softmax(dim=0) if self._objective == "softmax" else scaled.sigmoid()

    def resize(self, frames: Tensor) -> Tensor:
        """The first step; an exporter may replace it."""
        return resize_frames(frames, self.recipe.preprocess)

    def join(self, features: Tensor) -> Tensor:
        """The first step of `classify`; an exporter may replace it."""
        return self.backbone.to_sequences(features, self.num_clips)


class GraphPart(nn.Module):
    """``arrange``, ``encode`` or ``classify`` of a `WholeGraph` as a separate module for exporters.

    From the whole, exporters would derive the sizes of later tensors from the frames, and the graph could not be cut.

    Args:
        whole: the model.
        method: name of the method.
    """

    def __init__(self, whole: WholeGraph, method: str) -> None:
        super().__init__()
        self.whole = whole
        self.method = method

    def forward(self, stage: Tensor) -> tuple[Tensor, ...]:
        """Call the method."""
        result: tuple[Tensor, ...] = getattr(self.whole, self.method)(stage)
        return result


def graph_parts(whole: WholeGraph, frames: Tensor) -> Iterator[tuple[GraphPart, Tensor, tuple[int, ...]]]:
    """Yield the three parts in order, each with an example of its input and the axes of the input whose size varies.

    Args:
        whole: the model.
        frames: the first example, ``T×H×W×3`` uint8.
    """
    is_3d = isinstance(whole.backbone, ClipBackbone)  # then a clip's length is an axis of its own
    example = frames
    for method, axes in (("arrange", (0, 1, 2)), ("encode", (2 if is_3d else 0,)), ("classify", (1 if is_3d else 0,))):
        part = GraphPart(whole, method)
        yield part, example, axes
        example = part(example)[-1]
