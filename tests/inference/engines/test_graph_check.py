"""What an exported file may hold: wherever it hides, another file or a loop is found before a runtime sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inference.exported_models import openvino_or_skip
from videoclf.errors import ModelFileInvalidError
from videoclf.inference.engines.exported_engine import exported_metadata
from videoclf.inference.engines.graph_check import complaint_about_ir, complaint_about_onnx
from videoclf.inference.engines.onnx_graph import read_onnx
from videoclf.inference.engines.openvino_graph import open_openvino
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe

OTHER_FILE = "it stores the tensor 'secret' in another file, which is not read"


def onnx_or_skip() -> Any:
    return pytest.importorskip("onnx", reason="needs onnx: pip install 'videoclf[onnx]'")


def external() -> Any:
    """A tensor whose values lie in another file."""
    onnx = onnx_or_skip()
    tensor = onnx.TensorProto(name="secret", data_type=onnx.TensorProto.FLOAT, dims=[4])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def graph_of(*nodes: Any, **parts: Any) -> Any:
    helper = onnx_or_skip().helper
    value = helper.make_tensor_value_info
    return helper.make_graph(nodes, "graph", [value("x", 1, [4])], [value("y", 1, [4])], **parts)


def constant(tensor: Any) -> Any:
    return onnx_or_skip().helper.make_node("Constant", [], ["y"], value=tensor)


def model_of(graph: Any, **parts: Any) -> Any:
    model = onnx_or_skip().helper.make_model(graph, **parts)
    header = ModelHeader(name="m", recipe=Recipe(), labels=("a", "b"))
    for key, value in exported_metadata(header, ()).items():
        model.metadata_props.add(key=key, value=value)
    return model


def in_an_attribute() -> Any:
    return model_of(graph_of(constant(external())))


def in_an_initializer_without_a_location() -> Any:
    tensor = external()
    tensor.ClearField("data_location")
    return model_of(graph_of(constant(tensor)))


def in_a_sparse_initializer() -> Any:
    onnx = onnx_or_skip()
    return model_of(graph_of(sparse_initializer=[onnx.SparseTensorProto(values=external(), dims=[9])]))


def in_a_list_of_tensors() -> Any:
    node = onnx_or_skip().helper.make_node("Custom", [], ["y"], values=[external(), external()])
    return model_of(graph_of(node))


EXTERNAL = [in_an_attribute, in_an_initializer_without_a_location, in_a_sparse_initializer, in_a_list_of_tensors]


@pytest.mark.parametrize("make", EXTERNAL)
def test_a_tensor_in_another_file_is_found_wherever_it_is_named(make: Callable[[], Any]) -> None:
    assert complaint_about_onnx(make()) == OTHER_FILE


def test_a_graph_within_the_graph_is_refused() -> None:
    helper = onnx_or_skip().helper
    loop = helper.make_node("Loop", ["", "", "x"], ["y"], body=graph_of(constant(external())))
    training = model_of(graph_of())
    training.training_info.add().algorithm.CopyFrom(graph_of(constant(external())))
    for model in (model_of(graph_of(loop)), training):
        assert complaint_about_onnx(model) == ("it contains a graph within its graph ('graph'), which might never end")


def test_operators_that_are_not_onnxs_own_are_refused() -> None:
    helper = onnx_or_skip().helper
    foreign = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")
    assert complaint_about_onnx(model_of(graph_of(foreign))) == (
        "its operator 'com.microsoft.EPContext' is not one of ONNX's own"
    )
    opset = helper.make_opsetid("", 20)
    own = helper.make_function("mine", "twice", ["x"], ["y"], [constant(external())], [opset])
    assert complaint_about_onnx(model_of(graph_of(), functions=[own])) == (
        "it defines operators of its own, such as 'twice'"
    )


def test_a_file_that_names_another_is_not_opened(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install 'videoclf[onnx]'")
    path = tmp_path / "m.onnx"
    path.write_bytes(in_an_attribute().SerializeToString())
    with pytest.raises(ModelFileInvalidError) as caught:
        read_onnx(path)
    assert str(caught.value) == f"{path}: is refused: {OTHER_FILE}; export it again"


LAYER = '<layer id="0" name="x" type="{}" version="{}"><data shape="2"/>{}</layer>'


def ir(kind: str = "Parameter", version: str = "opset1", inside: str = "", after: str = "") -> bytes:
    layer = LAYER.format(kind, version, inside)
    return f'<?xml version="1.0"?><net name="m" version="11"><layers>{layer}</layers>{after}</net>'.encode()


@pytest.mark.parametrize(
    ("graph", "complaint"),
    [
        (ir(), ""),
        (ir(after="<rt_info><videoclf value='1'/><info><of_others/></info></rt_info>"), ""),
        (ir(inside="<rt_info><attribute name='fused_names' version='0'/></rt_info>"), ""),
        (ir("Loop", "opset5"), "it holds a Loop, which might never end"),
        (ir("TensorIterator"), "it holds a TensorIterator, which might never end"),
        (ir(inside="<body/>"), "it holds 'body', which might name other files, or never come to an end"),
        (ir("Mine", "extension"), "its operator 'Mine' is not one of OpenVINO's own"),
        (ir(after="<rt_info><__weights_path value='/etc/passwd'/></rt_info>"), "it sets '__weights_path', which is"),
        (b"\x08\x09garbage", "its content is not XML"),
        (b"<?xml version='1.0'?><html/>", "its XML is of another kind, 'html'"),
        (b"<?xml version='1.0'?><!DOCTYPE net [<!ENTITY a 'b'>]><net/>", "its XML declares a document type"),
        (ir()[:-5], "its XML is damaged (unclosed token"),
    ],
)
def test_an_openvino_graph_is_looked_through(graph: bytes, complaint: str) -> None:
    found = complaint_about_ir(graph)
    assert found.startswith(complaint) if complaint else found == ""


def test_an_onnx_file_by_another_name_is_not_handed_to_openvino(tmp_path: Path) -> None:
    """OpenVINO goes by content, and would read what it names."""
    openvino_or_skip()
    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret.bin")
    with pytest.raises(ModelFileInvalidError) as caught:
        open_openvino(in_an_attribute().SerializeToString(), b"", tmp_path / "m.xml")
    assert str(caught.value) == (
        f"{tmp_path / 'm.xml'}: is not an OpenVINO model that can be trusted: its content is not XML; export it again"
    )
