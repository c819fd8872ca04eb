"""Runs exported models in OpenVINO (https://docs.openvino.ai), the fast engine on a CPU."""

from __future__ import annotations

import hashlib
import os
import queue
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from videoclf.errors import EngineUnavailableError, ModelFileInvalidError, one_line
from videoclf.inference.engines.exported_engine import (
    MAX_RUN_SECONDS,
    METADATA_KEYS,
    NUM_AT_ONCE,
    TOOK_TOO_LONG,
    ExportedFile,
    Part,
    parse_metadata,
)
from videoclf.inference.engines.graph_check import complaint_about_ir
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.engines.runtime_lifetime import keep_for_ever
from videoclf.media.options import num_cores
from videoclf.option_names import option
from videoclf.recipe.validation_errors import shortened

MIN_VERSION = (2025, 0)
"""The oldest version that the extra ``cpu`` accepts."""

WEIGHTS_KEY = "videoclf_weights_sha256"
"""Key of a graph's metadata for the hash of its ``.bin``; older files do not have it."""

_SETTINGS: dict[str, Any] = {
    "INFERENCE_PRECISION_HINT": "f32",  # by itself it takes bfloat16 where the CPU has it: features 15 % off
    "INFERENCE_NUM_THREADS": num_cores(),
}


_computed_in: set[int] = set()
"""The process in which OpenVINO has threads; a forked one inherits the number, and not the threads."""


def import_openvino() -> Any:
    """Import OpenVINO without the part that, by default, reports every import over the network.

    Raises:
        EngineUnavailableError: OpenVINO is not installed, broken or too old, or was used before this process was
            forked.
    """
    if _computed_in and os.getpid() not in _computed_in:
        # to open models anew is no way out: OpenVINO gives them idle threads of the parent's, and waits for ever
        raise EngineUnavailableError(
            "OpenVINO was used before os.fork(), and its threads exist only in the parent",
            hint="load the model only in the child (gunicorn: without --preload), or use "
            f"{option('engine', 'torch')}, which works in a forked process",
        )
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # hides it; there is a stub for it
    try:
        import openvino
    except ImportError as error:
        raise EngineUnavailableError(
            f"OpenVINO cannot be used ({one_line(error)})",
            hint=f"pip install 'videoclf[cpu]', or use {option('engine', 'torch')}",
        ) from error
    version = getattr(openvino, "__version__", "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < MIN_VERSION:
        raise EngineUnavailableError(
            f"OpenVINO {one_line(version)} is too old",
            hint=f"pip install --upgrade 'videoclf[cpu]', or use {option('engine', 'torch')}",
        )
    return openvino


def open_openvino(graph: bytes, weights: bytes, path: Path) -> ExportedFile:
    """Open a model given as OpenVINO's two parts.

    Args:
        graph: the content of the ``.xml``.
        weights: the content of the ``.bin``.
        path: names the file in messages.

    Raises:
        EngineUnavailableError: OpenVINO cannot be used.
        ModelFileInvalidError: the model is damaged, foreign or of another version, has another model's weights, or
            might read other files or never end.
    """
    openvino = import_openvino()
    if complaint := complaint_about_ir(graph):  # by itself OpenVINO reads whatever it recognises, ONNX for one
        raise ModelFileInvalidError(
            f"is not an OpenVINO model that can be trusted: {complaint}", source=path, hint="export it again"
        )
    core = openvino.Core()
    try:
        model = core.read_model(graph, weights)
        keys = (*METADATA_KEYS, WEIGHTS_KEY)
        entries = {key: model.get_rt_info([key]).value for key in keys if model.has_rt_info([key])}
    except RuntimeError as error:
        raise ModelFileInvalidError(
            f"is not an OpenVINO model, or is damaged ({shortened(one_line(error))})",
            source=path,
            hint="export it again",
        ) from error
    entries = {key: str(value) for key, value in entries.items()}
    written_with = entries.pop(WEIGHTS_KEY, None)
    header, trained_clips = parse_metadata(entries, path)
    if written_with is not None and written_with != hashlib.sha256(weights).hexdigest():
        raise ModelFileInvalidError(
            f"was written with other weights than those in {path.with_suffix('.bin').name}",
            source=path,
            hint="keep the two files of one export together, or export it again",
        )
    return ExportedFile(OpenvinoGraph(core, model, path), header, trained_clips)


def read_openvino(path: Path) -> ExportedFile:
    """Read a model from an ``.xml`` and the ``.bin`` beside it; see `open_openvino`."""
    weights = path.with_suffix(".bin")
    try:
        return open_openvino(path.read_bytes(), weights.read_bytes(), path)
    except OSError as error:
        raise ModelFileInvalidError(
            f"cannot be read ({error.strerror})",
            source=error.filename,
            hint=f"an OpenVINO model consists of two files, {path.name} and {weights.name}: keep them together",
        ) from error


class OpenvinoGraph:
    """A model that OpenVINO has read.

    Args:
        core: OpenVINO's ``Core``.
        model: OpenVINO's ``Model``.
        path: names the file in messages.
    """

    def __init__(self, core: Any, model: Any, path: Path) -> None:
        self._core = core
        self._model = model
        self._path = path

    def part(self, start: str, end: str, *, num_rows: int | None = None) -> Part:
        """See `Graph`.

        Raises:
            ModelFileInvalidError: the file lacks these stages, or OpenVINO cannot run them.
            EngineUnavailableError: OpenVINO was used before this process was forked.
        """
        openvino = import_openvino()
        _computed_in.add(os.getpid())
        from openvino import opset13

        stretch = f"from {start} to {end}"
        model = self._model.clone()  # shares the weights
        tensors = {name: out for node in model.get_ops() for out in node.outputs() for name in out.names}
        try:
            first, last = tensors[start], tensors[end]
            shape = first.partial_shape
            if num_rows is not None:
                shape[0] = num_rows
            entry = opset13.parameter(shape, first.element_type)
            for user in first.get_target_inputs():
                user.replace_source_output(entry.output(0))
            whole = openvino.Model([last], [entry])
            num_streams = 1 if num_rows is None else NUM_AT_ONCE
            compiled = self._core.compile_model(whole, "CPU", {**_SETTINGS, "NUM_STREAMS": num_streams})
        except (KeyError, RuntimeError) as error:
            raise _failure(self._path, stretch, one_line(error)) from error
        return _Requests(compiled, num_streams, self._path, stretch)


class _Requests:
    """A request serves one thread at a time; there are as many as may be under way at once."""

    def __init__(self, compiled: Any, num_requests: int, path: Path, stretch: str) -> None:
        self._compiled = compiled
        self._path, self._stretch = path, stretch
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(num_requests):
            self._free.put(compiled.create_infer_request())

    def __call__(self, array: npt.NDArray[Any]) -> Float32Array:
        request = self._free.get()
        try:
            request.start_async([np.ascontiguousarray(array)])
            if not request.wait_for(round(1000 * MAX_RUN_SECONDS)):
                # it is left to end by itself: to cancel it only says so, and who frees it waits for it; until it has
                # ended, whoever asks it again is told that it is busy
                keep_for_ever((request, self._compiled))
                raise _failure(self._path, self._stretch, TOOK_TOO_LONG)
            request.wait()  # raises what it ended with
            result: Float32Array = request.get_output_tensor(0).data.copy()
        except RuntimeError as error:
            raise _failure(self._path, self._stretch, one_line(error)) from error
        finally:
            self._free.put(request)
        return result


def _failure(path: Path, stretch: str, reason: str) -> ModelFileInvalidError:
    return ModelFileInvalidError(f"cannot be run {stretch} ({shortened(reason)})", source=path, hint="export it again")
