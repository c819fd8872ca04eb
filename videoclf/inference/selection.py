"""Selects the engine for a model: the requested one, or the fastest one on this machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from videoclf.errors import EngineUnavailableError, ModelFileInvalidError, UsageInvalidError, VideoclfError, one_line
from videoclf.inference.engines.exported_engine import ExportedEngine, ExportedFile
from videoclf.inference.engines.protocol import Engine
from videoclf.inference.options import EXPORT_SUFFIXES, EngineName
from videoclf.media.frames import RgbFrames
from videoclf.option_names import option
from videoclf.recipe.header import ModelHeader

_GPU_FILES = ("nvidiactl", "kfd", "dxg")
"""In /dev: NVIDIA's driver, AMD's, and Windows' in its Linux. Asking torch instead would take two seconds."""


def open_engine(
    model: str | Path | None,
    *,
    engine: EngineName = EngineName.AUTO,
    device: str = "auto",
    device_map: str | None = None,
    backbone: Any = None,
    notice: Callable[[str], None] = lambda _text: None,
) -> tuple[Engine[Any], ModelHeader]:
    """Open the engine for a model, and read its header; arguments as for `videoclf.load`.

    Raises:
        ModelFileInvalidError, WeightsUnavailableError, DeviceUnavailableError, MemoryExhaustedError: as
            `videoclf.load`.
        EngineUnavailableError: the requested engine is not installed, or refuses the model.
        UsageInvalidError: the engine cannot read such a file, or does not run on the device.
    """
    exported_for = EXPORT_SUFFIXES.get(Path(model or "").suffix.lower())
    if device_map is not None and (engine not in {EngineName.AUTO, EngineName.TORCH} or exported_for is not None):
        raise UsageInvalidError(
            "only torch can run the parts of a network on several devices",
            source=option("device_map"),
            hint=f"use {option('engine', 'torch')}",
        )
    if exported_for is not None:
        return _exported(_open_exported(Path(model or ""), EngineName(exported_for), engine, device))
    if engine is EngineName.ONNX:
        raise UsageInvalidError(
            "runs only exported files",
            source=option("engine", "onnx"),
            hint=f"videoclf export {model or ''} --out model.onnx, then --model model.onnx",
        )
    if engine is EngineName.OPENVINO:
        _check_device(engine, device)
        if backbone is not None:
            raise UsageInvalidError(
                "cannot run a custom backbone", source=option("engine", "openvino"), hint="use torch"
            )
    unfit: list[str] = []  # why OpenVINO is not used; said once there is an engine that is
    is_automatic = engine is EngineName.AUTO and backbone is None and device_map is None and _openvino_is_faster(device)
    if engine is EngineName.OPENVINO or is_automatic:
        from videoclf.inference.export.conversions import open_converted

        try:
            return _exported(open_converted(model, notice))
        except EngineUnavailableError as error:
            if not is_automatic:
                raise
            unfit.append(f"{error}; torch is used instead")
    from videoclf.modeling.torch_threads import beside_lost_threads

    torch_engine, header, slow_because = beside_lost_threads(
        _open_torch, model, engine, device, device_map, backbone, notice
    )
    for reason in (*unfit, *slow_because):
        notice(reason)
    return torch_engine, header


def _open_torch(
    model: str | Path | None,
    engine: EngineName,
    device: str,
    device_map: str | None,
    backbone: Any,
    notice: Callable[[str], None],
) -> tuple[Engine[Any], ModelHeader, list[str]]:
    """What runs a model by torch, its header, and why it is not what is fastest on the device."""
    from videoclf.inference.engines.torch_engine import TorchEngine
    from videoclf.modeling.device_map import find_device
    from videoclf.modeling.open_model import open_model

    unfit: list[str] = []
    is_for_a_gpu = engine is EngineName.AUTO and device_map is None and find_device(device).type == "cuda"
    classifier, header = open_model(model, backbone=backbone)
    if is_for_a_gpu:
        from videoclf.inference.engines.cuda.engine import GpuEngine

        try:
            gpu_engine = GpuEngine(classifier, header.recipe, device, precision=header.precision, notice=notice)
            _try(gpu_engine)
        except VideoclfError:
            raise
        except Exception as error:  # whatever a GPU, its driver and torch's many ways of using it disagree about
            unfit.append(f"{device}: the GPU engine fails here ({one_line(error)[:200]}); plain torch is used instead")
        else:
            return gpu_engine, header, unfit
    return TorchEngine(classifier, header.recipe, device, device_map=device_map), header, unfit


def _try(engine: Engine[Any]) -> None:
    """The whole way of two small frames: what an engine cannot do here shows before the first video."""
    frames = RgbFrames(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2.0), "trial")
    engine.logits([engine.preprocess(iter([frames]))])


def _exported(file: ExportedFile) -> tuple[ExportedEngine, ModelHeader]:
    return ExportedEngine(file), file.header


def _open_exported(path: Path, exported_for: EngineName, engine: EngineName, device: str) -> ExportedFile:
    if engine not in {EngineName.AUTO, exported_for}:
        raise UsageInvalidError(
            f"{path} was exported for {exported_for}",
            source=option("engine", engine),
            hint=f"omit {option('engine')}",
        )
    _check_device(exported_for, device)
    if not path.is_file():
        raise ModelFileInvalidError(
            "no such file", source=path, hint=f"check the path, or export it: videoclf export MODEL --out {path}"
        )
    if exported_for is EngineName.ONNX:
        from videoclf.inference.engines.onnx_graph import read_onnx

        return read_onnx(path)
    from videoclf.inference.engines.openvino_graph import read_openvino

    return read_openvino(path)


def _check_device(engine: EngineName, device: str) -> None:
    if device not in {"auto", "cpu"}:
        raise UsageInvalidError(
            f"{engine} runs on the CPU",
            source=option("device", device),
            hint=f"use {option('engine', 'auto')} for a GPU",
        )


def _openvino_is_faster(device: str) -> bool:
    if find_spec("openvino") is None:
        return False
    return device == "cpu" or (device == "auto" and not any(Path("/dev", name).exists() for name in _GPU_FILES))
