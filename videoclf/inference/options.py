"""Options for prediction. This module imports nothing heavy, so that the command line can list them."""

from __future__ import annotations

from enum import StrEnum


class EngineName(StrEnum):
    """The inference backend."""

    AUTO = "auto"
    """On a GPU, the GPU engine; on a CPU, OpenVINO if it is installed, otherwise torch; for an exported file, the
    backend that can read it."""
    TORCH = "torch"
    """Plain torch on any device: the reference for the others."""
    OPENVINO = "openvino"
    ONNX = "onnx"


class ExportFormat(StrEnum):
    """The format of an exported file, under the name of the engine that runs it."""

    ONNX = EngineName.ONNX.value
    OPENVINO = EngineName.OPENVINO.value


EXPORT_SUFFIXES = {".onnx": ExportFormat.ONNX, ".xml": ExportFormat.OPENVINO}
"""Of exported files."""
