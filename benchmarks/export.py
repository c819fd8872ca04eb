"""How far exported files differ from torch: the default model, model files, and recipes with random weights.

    python benchmarks/export.py [MODEL|RECIPE]...

Each is written as `videoclf export` writes it, and run as the graph alone, from uint8 frames of 320×240 to logits.
Printed is the largest difference to the torch engine's logits, for 16 frames and for one. Random weights (small, by
their initialization) say less than trained ones.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from videoclf.inference.engines.exported_engine import INPUT
from videoclf.inference.engines.onnx_graph import read_onnx
from videoclf.inference.engines.openvino_graph import open_openvino
from videoclf.inference.engines.torch_engine import TorchEngine
from videoclf.inference.export.convert import to_onnx, to_openvino
from videoclf.media.frames import RgbFrames
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.modeling.open_model import open_model
from videoclf.recipe.header import ModelHeader
from videoclf.training.run.initialization import choose_recipe

RECIPES = ("resnet18-gru", "efficientnet_b0-gru", "r2plus1d_18-gru", "s3d-gru", "inflated-mobilenet_v2-gru")
LABELS = tuple("abcdefghij")
NUM_FRAMES = (16, 1)


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL|RECIPE", help="in addition to the default model")
    print("| model | file | export, s | MB | largest logit | 16 frames | 1 frame |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in [None, *(parser.parse_args().models or RECIPES)]:
        classifier, header = open_model(name) if name is None or Path(name).is_file() else with_random_weights(name)
        measure(name or f"{header.name} (default)", classifier, header)


def with_random_weights(recipe_name: str) -> tuple[VideoClassifier, ModelHeader]:
    """A network as that recipe describes it."""
    torch.manual_seed(0)
    recipe = choose_recipe(recipe_name, None, ["backbone.weights=none"])
    return build_classifier(recipe, len(LABELS)).eval(), ModelHeader(name=recipe_name, recipe=recipe, labels=LABELS)


def measure(name: str, classifier: VideoClassifier, header: ModelHeader) -> None:
    """Its lines."""
    engine = TorchEngine(classifier, header.recipe, "cpu")
    random = np.random.default_rng(0)
    clips = [random.integers(0, 256, (num_frames, 240, 320, 3), dtype=np.uint8) for num_frames in NUM_FRAMES]
    windows = [engine.preprocess(iter([RgbFrames(clip, np.arange(float(len(clip))), "noise")])) for clip in clips]
    expected = [engine.logits([window])[0] for window in windows]
    largest = max(float(np.abs(logits).max()) for logits in expected)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".onnx", ".xml"):
            path = Path(folder, f"model{suffix}")
            started = time.perf_counter()
            if suffix == ".onnx":
                path.write_bytes(to_onnx(classifier, header))
                seconds, size, file = time.perf_counter() - started, path.stat().st_size, read_onnx(path)
            else:
                parts = to_openvino(classifier, header)
                seconds, size, file = time.perf_counter() - started, sum(map(len, parts)), open_openvino(*parts, path)
            run = file.graph.part(INPUT, "logits")
            found = [f"{np.abs(run(clip) - logits).max():.0e}" for clip, logits in zip(clips, expected, strict=True)]
            figures = [f"{seconds:.0f}", f"{size / 1e6:.1f}", f"{largest:.1f}", *found]
            print(f"| {name} | {suffix} | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
