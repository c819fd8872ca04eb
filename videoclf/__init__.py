"""videoclf classifies videos.

The public names are loaded when first used, so that ``import videoclf`` takes milliseconds and imports no torch:

    >>> import videoclf
    >>> model = videoclf.load()                    # the embedded default; or a zoo name, or a model file
    >>> prediction = model.predict("clip.mp4")     # Prediction(walk 0.93, ...)
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videoclf.cross_validation.crossval import crossval as crossval
    from videoclf.data.feature_cache import FeatureCache as FeatureCache
    from videoclf.data_check.check import check as check
    from videoclf.errors import VideoclfError as VideoclfError
    from videoclf.inference.export.export import export as export
    from videoclf.inference.model import Model as Model
    from videoclf.inference.model import load as load
    from videoclf.inference.prediction import Failure as Failure
    from videoclf.inference.prediction import Prediction as Prediction
    from videoclf.media.video import read_video as read_video
    from videoclf.modeling.backbones.clip_networks import ClipBackbone as ClipBackbone
    from videoclf.modeling.backbones.frame_networks import FrameBackbone as FrameBackbone
    from videoclf.modeling.classifier import VideoClassifier as VideoClassifier
    from videoclf.modeling.temporal.gru import TemporalModel as TemporalModel
    from videoclf.recipe.recipe import Recipe as Recipe
    from videoclf.results.compare import compare as compare
    from videoclf.results.evaluate import evaluate as evaluate
    from videoclf.training.extract import Extraction as Extraction
    from videoclf.training.extract import extract as extract
    from videoclf.training.run.train import train as train

# ONNX Runtime reports to its makers from some seconds after its import, unless this is set in the environment by then;
# its own function comes too late. Set here because other packages import it, such as torchmetrics. "0" is respected.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_PUBLIC = {
    "check": "videoclf.data_check.check",
    "FeatureCache": "videoclf.data.feature_cache",
    "VideoclfError": "videoclf.errors",
    "compare": "videoclf.results.compare",
    "evaluate": "videoclf.results.evaluate",
    "export": "videoclf.inference.export.export",
    "Model": "videoclf.inference.model",
    "load": "videoclf.inference.model",
    "Failure": "videoclf.inference.prediction",
    "Prediction": "videoclf.inference.prediction",
    "read_video": "videoclf.media.video",
    "FrameBackbone": "videoclf.modeling.backbones.frame_networks",
    "ClipBackbone": "videoclf.modeling.backbones.clip_networks",
    "VideoClassifier": "videoclf.modeling.classifier",
    "TemporalModel": "videoclf.modeling.temporal.gru",
    "Recipe": "videoclf.recipe.recipe",
    "crossval": "videoclf.cross_validation.crossval",
    "Extraction": "videoclf.training.extract",
    "extract": "videoclf.training.extract",
    "train": "videoclf.training.run.train",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604  (the keys are names)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("videoclf")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'videoclf' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
