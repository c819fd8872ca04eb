"""A loaded model: the result of ``videoclf.load``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videoclf.errors import UsageInvalidError
from videoclf.first_keywords import accepts_first_keywords
from videoclf.inference.engines.exported_engine import ExportedEngine
from videoclf.inference.engines.protocol import Engine, Float32Array
from videoclf.inference.options import EXPORT_SUFFIXES, EngineName
from videoclf.inference.pipeline import clip_request, predict_clips
from videoclf.inference.prediction import Failure, Prediction
from videoclf.inference.selection import open_engine
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import ReadWindow, read_clips
from videoclf.progress import ProgressLike, as_progress
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.trained_clips import read_trained_clips
from videoclf.zoo import downloadable_names, find_model

if TYPE_CHECKING:
    from torch import Tensor

    from videoclf.modeling.backbones.protocol import Backbone


@accepts_first_keywords(place="device_map", notice="progress")
def load(
    model: str | Path | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    device_map: str | None = None,
    backbone: Backbone | None = None,
    progress: ProgressLike = None,
) -> Model:
    """Load a model that is ready to predict.

    Args:
        model: nothing (the embedded default), a name from ``videoclf models``, a model file, a run's folder, or a file
            that ``videoclf export`` wrote. Only the ``kinetics400-`` names are downloaded, once.
        engine: ``torch``, ``openvino`` (needs the extra ``cpu``; the model is converted once, and cached), ``onnx``
            (for exported files), or ``auto``: see `EngineName`. Logits agree within 1e-4.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``cuda:1``, ...
        device_map: instead of a device, the device of each part of the network, such as
            ``backbone[:7]=cuda:0,backbone[7:]=cuda:1,temporal=cuda:1,head=cuda:1``; see
            `videoclf.modeling.device_map.parse_device_map`.
        backbone: for a model that was trained with a custom backbone: one with the same architecture.
        progress: receives notices, one line each: what takes some time, and what cannot be done the fast way.

    Raises:
        ModelFileInvalidError: there is no such model, or the file is damaged, foreign or newer.
        WeightsUnavailableError: the weights cannot be downloaded.
        DeviceUnavailableError: this machine has no such device.
        MemoryExhaustedError: the network does not fit on the GPU.
        EngineUnavailableError: the requested engine is not installed, or cannot run the model.
        UsageInvalidError: there is no such engine, or it cannot run such a file, or not on that device; a
            ``device_map`` that means nothing, or not for this network.
    """
    if engine not in set(EngineName):
        raise UsageInvalidError(
            "there is no such engine", source=f"engine {engine!r}", hint=f"use {', '.join(EngineName)}"
        )
    opened, header = open_engine(
        model,
        engine=EngineName(engine),
        device=device,
        device_map=device_map,
        backbone=backbone,
        notice=as_progress(progress).notice,
    )
    is_downloaded = str(model) in downloadable_names()
    return Model(opened, header, source=None if is_downloaded else find_model(model))


class Model:
    """A network with its labels and its preprocessing."""

    def __init__(self, engine: Engine[Any], header: ModelHeader, source: Path | None = None) -> None:
        self._engine = engine
        self.header = header
        self.source = source
        """The file that it was loaded from; None for a downloaded model."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that it knows."""
        return self.header.labels

    @property
    def recipe(self) -> Recipe:
        """How it samples, preprocesses and classifies."""
        return self.header.recipe

    @property
    def trained_clips(self) -> frozenset[str]:
        """Hashes of the clips that it was trained on, by `videoclf.recipe.trained_clips.clip_hash`; none if its file
        does not contain them."""
        if isinstance(self._engine, ExportedEngine) and self._engine.trained_clips:
            return self._engine.trained_clips
        is_exported = self.source is not None and self.source.suffix.lower() in EXPORT_SUFFIXES
        return frozenset() if self.source is None or is_exported else read_trained_clips(self.source)

    @property
    def computes_on(self) -> str:
        """The device, as text."""
        return self._engine.computes_on

    def predict(self, path: str | Path, *, reading: ReadOptions = DEFAULT_READ_OPTIONS) -> Prediction:
        """Predict the classes of one video, best first.

        Args:
            path: the video.
            reading: decoder, frame selection, isolation and limits.

        Raises:
            MediaError: the video cannot be read; the message says why.
        """
        outcome = next(self.predict_many([path], reading=reading))
        if isinstance(outcome, Failure):
            raise outcome.exception
        return outcome

    @accepts_first_keywords(num_threads="workers")
    def predict_many(
        self,
        paths: Iterable[str | Path],
        *,
        workers: int = DEFAULT_NUM_THREADS,
        reading: ReadOptions = DEFAULT_READ_OPTIONS,
    ) -> Iterator[Prediction | Failure]:
        """Predict the classes of many videos, in order. A video that cannot be read gives a `Failure`, and the others
        continue.

        Args:
            paths: taken as they are needed; may be endless.
            workers: number of videos decoded at the same time.
            reading: decoder, frame selection, isolation and limits.
        """
        if isinstance(paths, str | Path):
            raise TypeError(f"expected several paths, got the single {paths!r}; use predict for one")
        return predict_clips(self._engine, self.header, map(Path, paths), num_threads=workers, reading=reading)

    def features(self, path: str | Path) -> Tensor:
        """Compute the backbone's features of a video's frames: ``T'×D`` float32, window by window.

        Raises:
            MediaError: the video cannot be read; the message says why.
        """
        import torch

        features: list[Float32Array] = []
        for item in read_clips([clip_request(Path(path), self.recipe)], self._engine.preprocess, num_threads=1):
            if isinstance(item, ReadWindow):
                features.append(self._engine.features(item.value))
            elif item.failure is not None:
                raise item.failure
        return torch.from_numpy(np.concatenate(features))

    def __repr__(self) -> str:
        return f"Model({self.header.name}: {self.recipe.backbone.name}, {len(self.labels)} classes)"
