"""Graphs in OpenVINO: what fails, or takes too long, is an error of ours."""

from __future__ import annotations

import re
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.inference.exported_models import openvino_or_skip, small_model
from videoclf.errors import ModelFileInvalidError
from videoclf.inference.engines import openvino_graph
from videoclf.inference.engines.exported_engine import Part
from videoclf.inference.engines.openvino_graph import OpenvinoGraph, open_openvino
from videoclf.inference.export.convert import to_openvino


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
    with pytest.raises(
        ModelFileInvalidError, match=r"^m\.xml: cannot be run from start to end \(.*\); export it again$"
    ):
        products(1)(np.ones((3, 4), np.float32))


def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    part = products(100)
    started = time.monotonic()
    monkeypatch.setattr(openvino_graph, "MAX_RUN_SECONDS", 0.05)
    with pytest.raises(
        ModelFileInvalidError, match=r"from start to end \('it took longer than 600 s'\); export it again"
    ):
        part(np.zeros((1000, 1000), np.float32))
    with pytest.raises(ModelFileInvalidError, match=r"from start to end \('.*'\); export it again"):
        part(np.zeros((1000, 1000), np.float32))
    del part  # it is not waited for
    assert time.monotonic() - started < 1


def test_weights_of_another_export_are_refused(tmp_path: Path) -> None:
    """The two files of an export are written one after the other, and may be copied apart."""
    openvino_or_skip()
    classifier, header = small_model("2d, last")
    graph, weights = to_openvino(classifier, header)
    changed = bytearray(weights)
    changed[-1] ^= 1
    with pytest.raises(ModelFileInvalidError) as caught:
        open_openvino(graph, bytes(changed), tmp_path / "m.xml")
    assert str(caught.value) == (
        f"{tmp_path / 'm.xml'}: was written with other weights than those in m.bin; keep the two files of one export "
        "together, or export it again"
    )
    old = re.sub(rb"<videoclf_weights_sha256[^>]*/>", b"", graph)
    assert len(old) < len(graph)
    assert open_openvino(old, weights, tmp_path / "m.xml").header == header
