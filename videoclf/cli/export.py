"""``videoclf export``: export a model to ONNX or OpenVINO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videoclf.cli.console import print_result
from videoclf.errors import UsageInvalidError
from videoclf.inference.options import EXPORT_SUFFIXES, ExportFormat
from videoclf.option_names import option


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name from `videoclf models`, a model file, or a run's folder.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Output file: .onnx, or .xml for OpenVINO (its weights go to a .bin file beside it)."
        ),
    ],
    file_format: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="Format of the file; by default given by the suffix of --out."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
) -> None:
    """Export a model, preprocessing included, to a file for ONNX Runtime or OpenVINO.

    Its input is uint8 frames of any number and size, its output probabilities; its metadata contains labels and
    calibration. `videoclf predict --model FILE` runs it, and so do ten lines of Python without videoclf
    (docs/predicting.md). The file is written only if its scores agree with those of torch. Takes about a minute.
    """
    from videoclf.inference.export.export import export as export_model

    if file_format is not None and EXPORT_SUFFIXES.get(out.suffix.lower()) is not file_format:
        suffix = next(suffix for suffix, name in EXPORT_SUFFIXES.items() if name is file_format)
        raise UsageInvalidError(
            f"{option('format', file_format)} needs a file with the suffix {suffix}", source=option("out", out)
        )
    export_model(model, out, overwrite=overwrite)
    print_result(f"{out}: to use it: videoclf predict clip.mp4 --model {out}")
