"""Checks that an exported file contains only its own numbers, and operators that terminate.

Runtimes read any file that a graph names, and run a loop for as long as it says. So each graph is checked completely
before a runtime sees it: a tensor may be hidden in an operator's attribute, in a graph within the graph, or in a
function. The graphs that we export need none of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from videoclf.errors import one_line
from videoclf.recipe.validation_errors import shortened

_ONNX_DOMAINS = ("", "ai.onnx")
_ONNX_EXTERNAL = 1
"""Of a tensor's ``data_location``."""

_IR_BEGINNINGS = (b"<?xml", b"<net")
"""Nothing else that OpenVINO reads (ONNX, TensorFlow, Paddle, GGUF) can begin so."""

_IR_ELEMENTS = frozenset({"net", "layers", "layer", "data", "input", "output", "port", "dim", "edges", "edge"})
"""Others hold the bodies of loops and branches, or means to be subtracted."""

_IR_LOOPS = frozenset({"If", "Loop", "TensorIterator"})
_IR_OPERATORS = re.compile(r"opset\d+")
"""Sets of operators that are OpenVINO's own; anything else is an extension."""


def complaint_about_onnx(model: Any) -> str:
    """Why a model must not be run; empty if it may.

    Args:
        model: onnx's ``ModelProto``, without its external data.
    """
    if model.functions:
        return f"it defines its own operators, such as {shortened(model.functions[0].name)}"
    for message in _messages(model):
        kind = message.DESCRIPTOR.name
        if kind == "TensorProto" and (message.data_location == _ONNX_EXTERNAL or message.external_data):
            return f"it stores the tensor {shortened(message.name)} in another file, which is not read"
        if kind == "GraphProto" and message is not model.graph:
            return f"it contains a graph within its graph ({shortened(message.name)}), which might never end"
        if kind == "NodeProto" and message.domain not in _ONNX_DOMAINS:
            return f"its operator {shortened(f'{message.domain}.{message.op_type}')} is not one of ONNX's own"
    return ""


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all within it, whatever the field."""
    yield message
    for _, value in message.ListFields():
        if hasattr(value, "ListFields"):
            yield from _messages(value)
        elif not isinstance(value, str | bytes | int | float) and hasattr(value[0], "ListFields"):
            for child in value:
                yield from _messages(child)


def complaint_about_ir(graph: bytes) -> str:
    """Why OpenVINO must not be given a graph; empty if it may.

    Args:
        graph: the content of the ``.xml``.
    """
    if not graph.startswith(_IR_BEGINNINGS):
        return "its content is not XML"
    reader = _IrReader()
    parser = ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(graph, True)
    except ExpatError as error:
        return f"its XML is damaged ({one_line(error)})"
    return reader.complaint


class _IrReader:
    """Goes through OpenVINO's XML and keeps the first complaint."""

    def __init__(self) -> None:
        self.complaint = ""
        self._path: list[str] = []

    def start(self, element: str, attributes: dict[str, str]) -> None:
        self._complain(self._about(element, attributes))
        self._path.append(element)

    def end(self, _element: str) -> None:
        self._path.pop()

    def doctype(self, *_: object) -> None:
        self._complain("its XML declares a document type")

    def _complain(self, complaint: str) -> None:
        self.complaint = self.complaint or complaint

    def _about(self, element: str, attributes: dict[str, str]) -> str:
        if not self._path and element != "net":
            return f"its XML is of another kind, {shortened(element)}"
        if "rt_info" in (element, *self._path):  # notes, whose names are anybody's but for OpenVINO's own
            return f"it sets {shortened(element)}, which is reserved for OpenVINO" if element.startswith("__") else ""
        if element not in _IR_ELEMENTS:
            return f"it contains {shortened(element)}, which might name other files, or never end"
        if element != "layer":
            return ""
        kind, operators = attributes.get("type", ""), attributes.get("version", "")
        if kind in _IR_LOOPS:
            return f"it contains a {kind}, which might never end"
        return (
            "" if _IR_OPERATORS.fullmatch(operators) else f"its operator {shortened(kind)} is not one of OpenVINO's own"
        )
