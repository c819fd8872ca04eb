"""Models of other runtimes' against ours: every kind of network, any number of frames and any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.exported_models import LABELS, chunks, noise, openvino_or_skip, small_model
from videoclf.errors import EngineUnavailableError, ModelFileInvalidError
from videoclf.inference.engines.exported_engine import ExportedEngine, ExportedFile
from videoclf.inference.engines.onnx_graph import read_onnx
from videoclf.inference.engines.openvino_graph import open_openvino
from videoclf.inference.engines.torch_engine import TorchEngine
from videoclf.inference.export import convert
from videoclf.modeling.classifier import VideoClassifier
from videoclf.recipe.header import ModelHeader

KINDS = ["2d", "3d", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("2d, last", "2d, shifted"))]
SHAPES = [(16, 50, 61), (1, 50, 61), (2, 32, 40), (19, 20, 500), (5, 300, 17)]


def converted(runtime: str, folder: Path, classifier: VideoClassifier, header: ModelHeader) -> ExportedFile:
    if runtime == "openvino":
        openvino_or_skip()
        return open_openvino(*convert.to_openvino(classifier, header), folder)
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install 'videoclf[onnx]'")
    (folder / "m.onnx").write_bytes(convert.to_onnx(classifier, header))
    return read_onnx(folder / "m.onnx")


@pytest.mark.parametrize("runtime", ["openvino", "onnx"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_features_are_torchs(tmp_path: Path, runtime: str, kind: str) -> None:
    classifier, header = small_model(kind)
    truth = TorchEngine(classifier, header.recipe, "cpu")
    file = converted(runtime, tmp_path, classifier, header)
    assert file.header == header
    engine = ExportedEngine(file)
    rgbs = [noise(*shape) for shape in SHAPES]
    windows = [engine.preprocess(chunks(rgb)) for rgb in rgbs]
    expected = [truth.preprocess(chunks(rgb)) for rgb in rgbs]
    np.testing.assert_allclose(engine.logits(windows), truth.logits(expected), atol=1e-4)
    np.testing.assert_allclose(engine.features(windows[0]), truth.features(expected[0]), atol=1e-4)


def test_probabilities_are_calibrated(tmp_path: Path) -> None:
    openvino = openvino_or_skip()
    classifier, header = small_model("2d, last")
    core = openvino.Core()
    model = core.compile_model(core.read_model(*convert.to_openvino(classifier, header)), "CPU")
    outputs = model(noise(3, 40, 40))
    scaled = np.exp(outputs["logits"] / header.calibration.temperature)
    np.testing.assert_allclose(outputs["probabilities"], scaled / scaled.sum(), atol=1e-5)
    assert outputs["probabilities"].shape == (len(LABELS),)


def test_what_would_give_other_scores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    openvino_or_skip()
    monkeypatch.setattr(ExportedEngine, "logits", lambda _self, _windows: np.full((1, 3), 9.0))
    with pytest.raises(
        EngineUnavailableError,
        match=r"model 2d, last cannot be converted for OpenVINO \('its scores would differ by .*'\)",
    ):
        convert.to_openvino(*small_model("2d, last"))


def test_a_network_that_needs_what_no_file_may_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> ExportedFile:
        raise ModelFileInvalidError(f"{path}: is refused: it contains a Loop; export it again")

    openvino_or_skip()
    monkeypatch.setattr(convert, "read_openvino", refuse)
    with pytest.raises(
        EngineUnavailableError,
        match=r"^model 2d, last cannot be converted for OpenVINO \('is refused: it contains a Loop",
    ):
        convert.to_openvino(*small_model("2d, last"))
