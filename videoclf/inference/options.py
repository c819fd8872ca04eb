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


EXPORT_SUFFIXES = {".onnx": EngineName.ONNX, ".xml": EngineName.OPENVINO}
"""Suffixes of exported files, and the backends that read them."""
