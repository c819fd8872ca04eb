"""What a caller may choose of prediction. Imports nothing, so that the command line can say what there is."""

from __future__ import annotations

from enum import StrEnum


class EngineName(StrEnum):
    """Who computes."""

    AUTO = "auto"
    """On a GPU, the engine that is made for one; on a CPU, OpenVINO where it is installed, else torch; of an exported
    file, what can read it."""
    TORCH = "torch"
    """Plain torch on any device: what the others are compared with."""
    OPENVINO = "openvino"
    ONNX = "onnx"


class ExportFormat(StrEnum):
    """The format of an exported file, under the name of the engine that runs it."""

    ONNX = EngineName.ONNX.value
    OPENVINO = EngineName.OPENVINO.value


EXPORT_SUFFIXES = {".onnx": ExportFormat.ONNX, ".xml": ExportFormat.OPENVINO}
"""Of exported files."""
