"""What a caller may choose of prediction. Imports nothing, so that the command line can say what there is."""

from __future__ import annotations

from enum import StrEnum


class EngineName(StrEnum):
    """Who computes."""

    AUTO = "auto"
    """OpenVINO where it is installed and no GPU is to be used, else torch; of an exported file, what can read it."""
    TORCH = "torch"
    OPENVINO = "openvino"
    ONNX = "onnx"
