"""Runs exported models in ONNX Runtime (https://onnxruntime.ai)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from videoclf.errors import EngineUnavailableError, ModelFileInvalidError, one_line
from videoclf.inference.engines.exported_engine import (
    MAX_RUN_SECONDS,
    TOOK_TOO_LONG,
    ExportedFile,
    Part,
    parse_metadata,
)
from videoclf.inference.engines.graph_check import complaint_about_onnx
from videoclf.inference.engines.protocol import Float32Array
from videoclf.recipe.validation_errors import shortened


def read_onnx(path: Path) -> ExportedFile:
    """Read a model in an ``.onnx`` file.

    Raises:
        EngineUnavailableError: onnx or ONNX Runtime is not installed.
        ModelFileInvalidError: the file is damaged, foreign or of another version, names other files, or might never
            end.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise EngineUnavailableError(
            f"needs onnx and onnxruntime ({one_line(error)})", source=path, hint="pip install 'videoclf[onnx]'"
        ) from error
    onnxruntime.set_default_logger_severity(4)  # its complaints reach the user as exceptions
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ModelFileInvalidError(
            f"cannot be read ({error.strerror})", source=path, hint="check its permissions"
        ) from error
    except Exception as error:  # protobuf's own, which cannot be named without importing protobuf
        raise ModelFileInvalidError(
            f"is not an ONNX model, or is damaged ({shortened(one_line(error))})", source=path, hint="export it again"
        ) from error
    header, trained_clips = parse_metadata({entry.key: entry.value for entry in model.metadata_props}, path)
    if complaint := complaint_about_onnx(model):
        raise ModelFileInvalidError(f"is refused: {complaint}", source=path, hint="export it again")
    return ExportedFile(OnnxGraph(model, path), header, trained_clips)


class OnnxGraph:
    """A model that the onnx package has read.

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
            ModelFileInvalidError: the file lacks these stages, or ONNX Runtime cannot run them.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if num_rows is not None:  # it runs on the threads that call it
            options.intra_op_num_threads = 1
        stretch = f"from {start} to {end}"
        # constants are computed while it is opened: that may take as long as anything
        with self._ended_in_time(stretch, lambda: options.set_load_cancellation_flag(True)):
            cut = self._extractor.extract_model([start], [end]).SerializeToString()
            session = onnxruntime.InferenceSession(cut, options, providers=["CPUExecutionProvider"])

        def run(array: npt.NDArray[Any]) -> Float32Array:
            run_options = onnxruntime.RunOptions()
            with self._ended_in_time(stretch, lambda: setattr(run_options, "terminate", True)):
                result: Float32Array = session.run([end], {start: array}, run_options)[0]
            return result

        return run

    @contextmanager
    def _ended_in_time(self, stretch: str, end: Callable[[], None]) -> Iterator[None]:
        """Within it ONNX Runtime is told to end when its time is over; what it raises is ours."""
        is_over = threading.Event()

        def expire() -> None:
            is_over.set()
            end()

        timer = threading.Timer(MAX_RUN_SECONDS, expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:  # each of ONNX Runtime's exceptions is derived from Exception alone
            reason = TOOK_TOO_LONG if is_over.is_set() else shortened(one_line(error))
            raise ModelFileInvalidError(
                f"cannot be run {stretch} ({reason})", source=self._path, hint="export it again"
            ) from error
        finally:
            timer.cancel()
