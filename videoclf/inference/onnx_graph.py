"""Exported models in ONNX Runtime (https://onnxruntime.ai)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from videoclf.errors import EngineUnavailable, ModelFileInvalid, one_line
from videoclf.inference.engine import Float32Array
from videoclf.inference.portable_engine import Part, PortableFile, parse_metadata
from videoclf.recipe.complaints import shortened


def read_onnx(path: Path) -> PortableFile:
    """A model in an ``.onnx`` file.

    Raises:
        EngineUnavailable: onnx or ONNX Runtime is not installed.
        ModelFileInvalid: damaged, foreign, of another version, or one that names other files.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise EngineUnavailable(
            f"{path}: needs onnx and onnxruntime ({one_line(error)}); pip install 'videoclf[onnx]'"
        ) from error
    onnxruntime.set_default_logger_severity(4)  # its complaints reach the user as exceptions
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own, which cannot be named without importing protobuf
        raise ModelFileInvalid(
            f"{path}: is no ONNX model, or a damaged one ({shortened(one_line(error))}); export it again"
        ) from error
    header = parse_metadata({entry.key: entry.value for entry in model.metadata_props}, path)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelFileInvalid(f"{path}: has its weights in another file, which is not read; export it again")
    return PortableFile(OnnxGraph(model, path), header)


class OnnxGraph:
    """A model that onnx has read.

    Args:
        model: onnx's ``ModelProto``.
        path: names the file in messages.
    """

    def __init__(self, model: Any, path: Path) -> None:
        from onnx.utils import Extractor

        self._extractor = Extractor(model)
        self._path = path

    def part(self, start: str, end: str, *, num_rows: int | None = None) -> Part:
        """See `Graph`.

        Raises:
            ModelFileInvalid: the file lacks these stages, or ONNX Runtime cannot run them.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if num_rows is not None:  # it runs on the threads that call it
            options.intra_op_num_threads = 1
        try:
            cut = self._extractor.extract_model([start], [end])
            session = onnxruntime.InferenceSession(cut.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # each of ONNX Runtime's exceptions is derived from Exception alone
            raise ModelFileInvalid(
                f"{self._path}: cannot be run from {start} to {end} ({shortened(one_line(error))}); export it again"
            ) from error

        def run(array: npt.NDArray[Any]) -> Float32Array:
            result: Float32Array = session.run([end], {start: array})[0]
            return result

        return run
