"""A loaded model: what ``videoclf.load`` gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from videoclf import errors
from videoclf.inference.pipeline import clip_request, predict_clips
from videoclf.inference.prediction import Failure, Prediction
from videoclf.inference.torch_engine import TorchEngine
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import ReadWindow, read_clips
from videoclf.modeling.classifier import Backbone
from videoclf.modeling.pretrained import open_model
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe


def load(
    model: str | Path | None = None,
    *,
    device: str = "auto",
    place: str | None = None,
    backbone: Backbone | None = None,
) -> Model:
    """A model that is ready to predict.

    Args:
        model: nothing (the embedded default), a name from ``videoclf models``, a model file, or a run's folder.
            Only the ``kinetics400-`` names are downloaded, once.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ...
        place: in place of a device, which part of the network lies on which, such as
            ``backbone[:7]=cuda:0,backbone[7:]=cuda:1,temporal=cuda:1,head=cuda:1``; see
            `videoclf.modeling.placement.parse_placement`.
        backbone: for a model that was trained with a backbone of your own: one of the same make.

    Raises:
        ModelFileInvalid: no such model, or a file that is damaged, foreign or newer.
        WeightsUnavailable: the weights cannot be downloaded.
        DeviceUnavailable: this machine has no such device.
        UsageInvalid: ``place`` means nothing, or not for this network.
    """
    classifier, header = open_model(model, backbone=backbone)
    return Model(TorchEngine(classifier, header.recipe, device, place=place), header)


class Model:
    """Weights, labels and the way a video must be prepared for them."""

    def __init__(self, engine: TorchEngine, header: ModelHeader) -> None:
        self._engine = engine
        self.header = header

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes it knows."""
        return self.header.labels

    @property
    def recipe(self) -> Recipe:
        """How it samples, prepares and classifies."""
        return self.header.recipe

    def predict(self, path: str | Path, *, reading: ReadOptions = DEFAULT_READ_OPTIONS) -> Prediction:
        """The classes of one video, best first.

        Args:
            path: the video.
            reading: who decodes, and how.

        Raises:
            MediaError: the video cannot be read; the message says why.
        """
        outcome = next(self.predict_many([path], reading=reading))
        if isinstance(outcome, Failure):
            raise getattr(errors, outcome.error.type)(outcome.error.message)
        return outcome

    def predict_many(
        self,
        paths: Iterable[str | Path],
        *,
        num_threads: int = DEFAULT_NUM_THREADS,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
    ) -> Iterator[Prediction | Failure]:
        """The classes of many videos, in order; a video that cannot be read gives a `Failure` and the rest goes on.

        Args:
            paths: taken as they are needed; may be endless.
            num_threads: videos decoded at once.
            reading: who decodes, and how.
        """
        if isinstance(paths, str | Path):
            raise TypeError(f"expected several paths, got the single {paths!r}; use predict for one")
        return predict_clips(self._engine, self.header, map(Path, paths), num_threads=num_threads, reading=reading)

    def features(self, path: str | Path) -> Tensor:
        """What the backbone makes of a video's frames: ``T'×D`` float32, windows one after the other.

        Raises:
            MediaError: the video cannot be read; the message says why.
        """
        features: list[Tensor] = []
        for item in read_clips([clip_request(Path(path), self.recipe)], self._engine.preprocess, num_threads=1):
            if isinstance(item, ReadWindow):
                features.append(self._engine.features(item.value))
            elif item.failure is not None:
                raise item.failure
        return torch.cat(features)

    def __repr__(self) -> str:
        return f"Model({self.header.name}: {self.recipe.backbone.name}, {len(self.labels)} classes)"
