"""Caches models that were converted for OpenVINO. An existing entry is opened without torch.

Each entry is a file named by a hash of the model's content and of all relevant versions, so nothing is ever
invalidated: what changed has another name. It is a zip file: it is complete or absent, and its checksums reveal damage.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from videoclf.caches import cache_folder
from videoclf.errors import EngineUnavailableError, ModelFileInvalidError
from videoclf.files import write_shared
from videoclf.inference.engines.exported_engine import GRAPH_VERSION, ExportedFile
from videoclf.inference.engines.openvino_graph import import_openvino, open_openvino
from videoclf.option_names import option
from videoclf.zoo import downloadable_names, find_model, find_recipe

_FORMAT_VERSION = 1
"""Raise it whenever a model would be converted to something else, though no version below has changed."""

_PACKAGES = ("videoclf", "openvino", "torch", "torchvision", "timm")
_GRAPH, _WEIGHTS, _REFUSAL = "model.xml", "model.bin", "refusal.txt"


def open_converted(model: str | Path | None, notice: Callable[[str], None]) -> ExportedFile:
    """Open a model for OpenVINO from the cache, or convert it now and store it there.

    Args:
        model: as for `open_model`.
        notice: called with one line for what takes some time.

    Raises:
        ModelFileInvalidError, WeightsUnavailableError: as `open_model`.
        EngineUnavailableError: OpenVINO cannot be used, refuses the model, or the cache cannot be written.
    """
    import_openvino()
    path = _entry_path(model)
    kept = _read(path)
    if kept is None:
        _check_writable(path.parent)
        from videoclf.modeling.torch_threads import beside_lost_threads

        kept = beside_lost_threads(_convert, model, notice)
        try:
            write_shared(path, _zipped(kept))
        except OSError as error:
            raise _unwritable(path.parent, error) from error
        if _REFUSAL not in kept:
            notice(f"{_name(model)} was converted for OpenVINO; it is kept in {path.parent}")
    if _REFUSAL in kept:
        raise EngineUnavailableError(kept[_REFUSAL].decode())
    return open_openvino(kept[_GRAPH], kept[_WEIGHTS], path)


def _convert(model: str | Path | None, notice: Callable[[str], None]) -> dict[str, bytes]:
    """A refusal is an entry too: nobody waits for it twice."""
    from videoclf.inference.export.convert import to_openvino
    from videoclf.modeling.open_model import open_model

    classifier, header = open_model(model)
    notice(f"{_name(model)} is being converted for OpenVINO, which takes some seconds")
    try:
        graph, weights = to_openvino(classifier, header)
    except EngineUnavailableError as error:
        return {_REFUSAL: str(error).encode()}
    return {_GRAPH: graph, _WEIGHTS: weights}


def _name(model: str | Path | None) -> str:
    return str(model or "the default model")


def _entry_path(model: str | Path | None) -> Path:
    versions = {"format": str(_FORMAT_VERSION), "graph": str(GRAPH_VERSION)}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    text = json.dumps([_content_sha256(model), versions], sort_keys=True)
    return cache_folder("engines") / f"{hashlib.sha256(text.encode()).hexdigest()}.zip"


def _content_sha256(model: str | Path | None) -> str:
    """Of the model file; of a model that is downloaded, which torchvision's version decides, of its recipe."""
    path = find_recipe(str(model)) if str(model) in downloadable_names() else find_model(model)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileInvalidError(
            f"cannot be read ({error.strerror})", source=path, hint="check its permissions"
        ) from error


def _read(path: Path) -> dict[str, bytes] | None:
    """What is kept; None where nothing is, or where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            kept = {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return None
    return kept if _REFUSAL in kept or {_GRAPH, _WEIGHTS} <= kept.keys() else None


def _zipped(content: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return packed.getvalue()


def _check_writable(folder: Path) -> None:
    """Before anybody waits for what could not be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_shared(folder / ".writable", b"")
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"models converted for OpenVINO cannot be stored there ({error.strerror})",
        source=folder,
        hint=f"set VIDEOCLF_CACHE to another folder, or use {option('engine', 'torch')}",
    )
