"""``videoclf export``: a model as a file that predicts elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from videoclf.cli.console import print_result
from videoclf.errors import UsageInvalidError


class ExportFormat(StrEnum):
    """What the file is for."""

    ONNX = "onnx"
    OPENVINO = "openvino"


_SUFFIXES = {ExportFormat.ONNX: ".onnx", ExportFormat.OPENVINO: ".xml"}


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name, its file, or a run's folder.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .onnx file, or an .xml (its weights go to a .bin).")],
    file_format: Annotated[
        ExportFormat | None, typer.Option("--format", help="By default what the suffix of --out says.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what FILE already holds.")] = False,
) -> None:
    """Write a model, preprocessing included, to a file for ONNX Runtime or OpenVINO.

    It takes uint8 frames of any number and size and gives probabilities; labels and calibration are in its metadata.
    `videoclf predict --model FILE` runs it, and so do ten lines without videoclf (docs/predicting.md). It is written
    only if its scores agree with torch's. Takes a minute or so.
    """
    from videoclf.inference.export.export import export as export_model

    if file_format is not None and out.suffix.lower() != _SUFFIXES[file_format]:
        raise UsageInvalidError(f"--out {out}: --format {file_format} is written to a {_SUFFIXES[file_format]} file")
    export_model(model, out, overwrite=overwrite)
    print_result(f"{out}: predict with it: videoclf predict clip.mp4 --model {out}")
