"""Converts our models to files of other runtimes, which `videoclf export` writes and the OpenVINO engine caches.

Both exporters trace `WholeGraph` on frames of one size and number. Before the result is used, it is compared with torch
on frames of other sizes and numbers.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoclf.errors import EngineUnavailableError, ModelFileInvalidError, one_line
from videoclf.inference.engines.exported_engine import (
    INPUT,
    OUTPUTS,
    PARTS,
    STAGES,
    ExportedEngine,
    exported_metadata,
)
from videoclf.inference.engines.onnx_graph import read_onnx
from videoclf.inference.engines.openvino_graph import WEIGHTS_KEY, import_openvino, read_openvino
from videoclf.inference.export.whole_graph import WholeGraph, graph_parts
from videoclf.media.frames import RgbFrames
from videoclf.modeling.classifier import VideoClassifier
from videoclf.option_names import option
from videoclf.recipe.crop_geometry import without_far_sides
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.validation_errors import shortened

_TOLERANCE = 1e-4
"""Of logits; of both runtimes' the worst seen was 5e-6."""

_NUM_STEPS = 6
"""Of the example that exporters follow: its values mean nothing, but 1 they would take for a constant."""


def to_openvino(
    classifier: VideoClassifier, header: ModelHeader, trained_clips: Collection[str] = ()
) -> tuple[bytes, bytes]:
    """Convert a model for OpenVINO: the contents of its ``.xml`` and its ``.bin``.

    Args:
        classifier: in evaluation mode, on the CPU.
        header: the model's header.
        trained_clips: see `videoclf.recipe.trained_clips`.

    Raises:
        EngineUnavailableError: OpenVINO cannot be used, or refuses the model.
    """
    openvino = import_openvino()
    graph = WholeGraph(classifier, header)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # torch and OpenVINO deprecate each other's ways
        try:
            model = _convert_parts(openvino, graph, _frames(header))
        except Exception as error:  # whatever torch's tracer and OpenVINO raise of what they cannot follow
            raise _refusal("OpenVINO", header, one_line(error)) from error
        for key, value in exported_metadata(header, trained_clips).items():
            model.set_rt_info(value, [key])
        path = Path(folder, "model.xml")
        openvino.save_model(model, path, compress_to_fp16=False)
        model.set_rt_info(hashlib.sha256(path.with_suffix(".bin").read_bytes()).hexdigest(), [WEIGHTS_KEY])
        openvino.save_model(model, path, compress_to_fp16=False)
        _check("OpenVINO", graph, path, header)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def _convert_parts(openvino: Any, graph: WholeGraph, frames: Tensor) -> Any:
    """The parts one by one, and then joined."""
    model: Any = None
    for (start, stages), (part, example, axes) in zip(PARTS, graph_parts(graph, frames), strict=True):
        shape = [-1 if axis in axes else size for axis, size in enumerate(example.shape)]
        converted = openvino.convert_model(part, example_input=example, input=[openvino.PartialShape(shape)])
        converted.input().tensor.add_names({start})
        for name, result in zip(stages, converted.get_results(), strict=True):
            result.input_value(0).tensor.add_names({name})
            result.output(0).tensor.add_names({name})
        if model is not None:
            given = model.get_results()[-1].input_value(0)
            for user in converted.input().get_target_inputs():
                user.replace_source_output(given)
            converted = openvino.Model(converted.get_results(), model.get_parameters())
        model = converted
    return openvino.Model(model.get_results()[-len(OUTPUTS) :], model.get_parameters())


def to_onnx(classifier: VideoClassifier, header: ModelHeader, trained_clips: Collection[str] = ()) -> bytes:
    """Convert a model for ONNX runtimes: the content of its ``.onnx``.

    Args:
        classifier: in evaluation mode, on the CPU.
        header: the model's header.
        trained_clips: see `videoclf.recipe.trained_clips`.

    Raises:
        EngineUnavailableError: onnx, onnxscript or onnxruntime is not installed, or the model cannot be exported.
    """
    graph = WholeGraph(classifier, header)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        try:
            from videoclf.inference.export.onnx_model import export_onnx

            model = export_onnx(classifier, header, _frames(header))
        except ImportError as error:
            raise EngineUnavailableError(
                f"ONNX files need more packages ({one_line(error)})", hint="pip install 'videoclf[onnx]'"
            ) from error
        except Exception as error:  # whatever torch's exporter raises of what it cannot follow
            raise _refusal("ONNX", header, one_line(error)) from error
        for key, value in exported_metadata(header, trained_clips).items():
            model.metadata_props.add(key=key, value=value)
        path = Path(folder, "model.onnx")
        path.write_bytes(model.SerializeToString())
        _check("ONNX", graph, path, header)
        return path.read_bytes()


def _check(runtime: str, graph: WholeGraph, path: Path, header: ModelHeader) -> None:
    """Compare with torch, the graph as it is and as we run it, on frames unlike the example's."""
    try:
        file = read_onnx(path) if runtime == "ONNX" else read_openvino(path)
        engine = ExportedEngine(file)
        whole = file.graph.part(INPUT, "logits")
    except ModelFileInvalidError as error:  # a network of the user's may need what no file may hold
        raise _refusal(runtime, header, str(error).removeprefix(f"{path}: ")) from error
    spec = file.header.recipe.preprocess
    random = np.random.default_rng(0)
    for num_frames, height, width in ((1, spec.height + 7, spec.width + 31), (11, 2 * spec.height, spec.width - 3)):
        rgb = random.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
        chunk = RgbFrames(rgb, np.arange(num_frames, dtype=np.float64), "noise")
        with torch.inference_mode():
            expected = graph(torch.from_numpy(rgb))[STAGES.index("logits")].numpy()
        try:
            found = [engine.logits([engine.preprocess(iter([chunk]))])[0], whole(without_far_sides(rgb, spec))]
            difference = max(float(np.abs(logits - expected).max()) for logits in found)
        except Exception as error:  # whatever a runtime raises that meets another shape than the example's
            raise _refusal(runtime, file.header, one_line(error)) from error
        if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise _refusal(runtime, file.header, f"its scores would differ by {difference:.2g}")


def _frames(header: ModelHeader) -> Tensor:
    spec, num_frames = header.recipe.preprocess, _NUM_STEPS * header.recipe.backbone.temporal_stride
    return torch.zeros(num_frames, spec.height + 5, spec.width + 9, 3, dtype=torch.uint8)


def _refusal(runtime: str, header: ModelHeader, reason: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"model {header.name} cannot be converted for {runtime} ({shortened(reason)})",
        hint=f"use {option('engine', 'torch')}",
    )
