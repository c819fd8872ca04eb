"""``videoclf info``: versions, devices, decoders, inference backends, kernels, and the feature cache."""

from __future__ import annotations

import importlib
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from videoclf.cli.console import print_result, print_table
from videoclf.cli.options import Json
from videoclf.errors import EngineUnavailableError, RunFolderUnusableError, one_line

_ENGINES = ("openvino", "onnx", "onnxruntime")


def info(as_json: Json = False) -> None:
    """Show versions, devices, decoders, inference backends, kernels, and the size of the feature cache.

    Please include this in a bug report.
    """
    from rich.table import Table

    facts = _facts()
    if as_json:
        print_result(json.dumps(facts))
        return
    table = Table(show_header=False)
    for section, entries in facts.items():
        for name, value in entries.items():
            table.add_row(section, name, str(value))
    print_table(table)


def _facts() -> dict[str, dict[str, Any]]:
    import torch

    gpus = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    return {
        "versions": {
            "videoclf": version("videoclf"),
            "python": platform.python_version(),
            **{
                name: _version(name)
                for name in ("torch", "torchvision", "av", "opencv-python", "triton", "timm", *_ENGINES)
            },
        },
        "devices": {"cpu": f"{os.cpu_count()} cores, {torch.get_num_threads()} torch threads", **gpus},
        "decoders": {"pyav": _import_state("av"), "opencv": _import_state("cv2")},
        "engines": {
            "torch": "works",
            "gpu": f"used on {', '.join(gpus)}" if gpus else "needs a CUDA GPU",
            "openvino": _openvino_state(),
            "onnx": _import_state("onnxruntime"),
        },
        "kernels": {name: _kernel_state(name) for name in gpus or {"cuda": ""}},
        "cache": _cache_facts(),
    }


def _cache_facts() -> dict[str, Any]:
    from videoclf.data.feature_cache import FeatureCache

    try:
        cache = FeatureCache()
    except RunFolderUnusableError as error:
        return {"folder": str(error)}
    size = cache.size()
    return {"folder": str(cache.folder), "num_views": size.num_entries, "size_mb": round(size.size_bytes / 1e6, 1)}


def _kernel_state(device: str) -> str:
    import torch

    from videoclf.kernels.availability import KERNELS, why_no_kernels

    reason = why_no_kernels(torch.device(device))
    names = ", ".join(KERNELS)
    return f"{names}: torch operations are used instead: {reason}" if reason else f"{names}: used"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _openvino_state() -> str:
    from videoclf.inference.engines.openvino_graph import import_openvino

    try:
        import_openvino()
    except EngineUnavailableError as error:
        return str(error)
    return "works"


def _import_state(module: str) -> str:
    try:
        importlib.import_module(module)
    except ImportError as error:
        return f"cannot be imported ({one_line(error)})"
    return "works"
