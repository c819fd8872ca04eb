"""Graphs in OpenVINO: what fails, or takes too long, is an error of ours."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.inference.portable_models import openvino_or_skip
from videoclf.errors import ModelFileInvalid
from videoclf.inference import openvino_graph
from videoclf.inference.openvino_graph import OpenvinoGraph
from videoclf.inference.portable_engine import Part


def products(num: int) -> Part:
    """Matrices, multiplied so many times."""
    openvino = openvino_or_skip()
    opset = import_module("openvino.opset13")
    start = opset.parameter([-1, -1], np.float32)
    start.output(0).tensor.add_names({"start"})
    value = factor = opset.add(start, start)
    for _ in range(num):
        value = opset.matmul(value, factor, False, False)
    value.output(0).tensor.add_names({"end"})
    model = openvino.Model([value], [start])
    return OpenvinoGraph(openvino.Core(), model, Path("m.xml")).part("start", "end")


def test_what_fails_while_it_runs_is_named() -> None:
    with pytest.raises(ModelFileInvalid, match=r"^m\.xml: cannot be run from start to end \(.*\); export it again$"):
        products(1)(np.ones((3, 4), np.float32))


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    part = products(100)
    started = time.monotonic()
    monkeypatch.setattr(openvino_graph, "MAX_RUN_SECONDS", 0.05)
    with pytest.raises(ModelFileInvalid, match=r"from start to end \('it took longer than 600 s'\); export it again"):
        part(np.zeros((1000, 1000), np.float32))
    with pytest.raises(ModelFileInvalid, match=r"from start to end \('.*'\); export it again"):
        part(np.zeros((1000, 1000), np.float32))
    del part  # it is not waited for
    assert time.monotonic() - started < 1
