"""Graphs in ONNX Runtime: what fails, or takes too long, is an error of ours."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from videoclf.errors import ModelFileInvalidError
from videoclf.inference.engines import onnx_graph
from videoclf.inference.engines.exported_engine import Part
from videoclf.inference.engines.onnx_graph import OnnxGraph

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'videoclf[onnx]'")
pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install 'videoclf[onnx]'")


def products(num: int) -> Part:
    """Matrices, multiplied so many times."""
    helper, values = onnx.helper, ["start", *(f"v{i}" for i in range(num - 1)), "end"]
    nodes = [helper.make_node("Add", ["start", "start"], ["c"])]
    nodes += [helper.make_node("MatMul", [values[i], "c"], [values[i + 1]]) for i in range(num)]
    infos = [helper.make_tensor_value_info(name, 1, ["n", "m"]) for name in ("start", "end")]
    model = helper.make_model(helper.make_graph(nodes, "g", infos[:1], infos[1:]), ir_version=9)
    return OnnxGraph(model, Path("m.onnx")).part("start", "end")


def test_what_fails_while_it_runs_is_named() -> None:
    with pytest.raises(
        ModelFileInvalidError, match=r"^m\.onnx: cannot be run from start to end \(.*\); export it again$"
    ):
        products(1)(np.ones((3, 4), np.float32))


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    part = products(2000)
    monkeypatch.setattr(onnx_graph, "MAX_RUN_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(
        ModelFileInvalidError, match=r"from start to end \(it took longer than 600 s\); export it again"
    ):
        part(np.zeros((1000, 1000), np.float32))
    assert time.monotonic() - started < 10
