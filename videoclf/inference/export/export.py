"""Writes models to files for other runtimes."""

from __future__ import annotations

from pathlib import Path

from videoclf.errors import UsageInvalidError
from videoclf.files import refuse_to_replace, write_atomically
from videoclf.inference.options import EXPORT_SUFFIXES, ExportFormat
from videoclf.option_names import option
from videoclf.recipe.trained_clips import read_trained_clips
from videoclf.zoo import downloadable_names, find_model


def export(model: str | Path | None, out: str | Path, *, overwrite: bool = False) -> None:
    """Write a model, preprocessing included, to one file (``.onnx``), or two (``.xml`` and the ``.bin`` beside it).

    From ``frames``, ``T×H×W×3`` uint8 RGB of any number and size, it computes ``logits`` and calibrated
    ``probabilities``, ``C`` each. Its metadata contain labels, recipe and calibration. It is written only if its logits
    agree with torch's within 1e-4.

    Args:
        model: as for `load`, but not an exported file.
        out: its suffix chooses the runtime: ``.onnx`` for ONNX runtimes, ``.xml`` for OpenVINO.
        overwrite: whether existing files may be replaced.

    Raises:
        UsageInvalidError: the suffix is another one.
        ModelFileInvalidError, WeightsUnavailableError: as for `load`.
        EngineUnavailableError: a package that writes the file is not installed, or cannot convert the model.
        RunFolderUnusableError: a file already exists, or cannot be written.
    """
    path = Path(out)
    target = EXPORT_SUFFIXES.get(path.suffix.lower())
    if target is None:
        raise UsageInvalidError(f"its suffix must be {' or '.join(EXPORT_SUFFIXES)}", source=option("out", path))
    files = [path] if target is ExportFormat.ONNX else [path, path.with_suffix(".bin")]
    refuse_to_replace(*files, overwrite=overwrite)
    from videoclf.inference.export.convert import to_onnx, to_openvino
    from videoclf.modeling.open_model import open_model
    from videoclf.modeling.torch_threads import beside_lost_threads

    classifier, header = beside_lost_threads(open_model, model)
    trained_clips = () if str(model) in downloadable_names() else read_trained_clips(find_model(model))
    if target is ExportFormat.ONNX:
        write_atomically(path, beside_lost_threads(to_onnx, classifier, header, trained_clips))
        return
    graph, weights = beside_lost_threads(to_openvino, classifier, header, trained_clips)
    write_atomically(path.with_suffix(".bin"), weights)
    write_atomically(path, graph)
