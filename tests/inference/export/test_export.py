"""Exported files as a user meets them: through ours, and through ten lines without us."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import videoclf
from tests.conftest import write_clip
from tests.inference.exported_models import openvino_or_skip
from videoclf.errors import ModelFileInvalidError, RunFolderUnusableError, UsageInvalidError
from videoclf.media.video import read_video

DOCS = Path(__file__).parents[3] / "docs" / "predicting.md"
RUNTIMES = {".onnx": "onnxruntime", ".xml": "openvino"}


@pytest.fixture(scope="module", params=RUNTIMES)
def exported(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == ".onnx":
        onnx_file: Path = request.getfixturevalue("tiny_onnx")
        return onnx_file
    openvino_or_skip()
    path = tmp_path_factory.mktemp("export") / "model.xml"
    videoclf.export(tiny_model, path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.avi", 80)


def test_an_exported_file_predicts_what_its_model_does(exported: Path, tiny_model: Path, clip: Path) -> None:
    expected, found = (videoclf.load(model).predict(clip) for model in (tiny_model, exported))
    assert found.model == expected.model
    scores = [{entry.label: entry.score for entry in prediction.labels} for prediction in (expected, found)]
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)


def test_the_ten_lines_of_the_docs_predict_the_same(
    exported: Path, tiny_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.parent)
    (lines,) = re.findall(
        rf"```python\n(import json\n+import {RUNTIMES[exported.suffix]}.*?)```", DOCS.read_text(encoding="utf-8"), re.S
    )
    assert lines.count("\n") <= 10
    recipe = videoclf.load(tiny_model).recipe
    names = {"frames": read_video(clip, fps=recipe.sampling.fps).rgb}
    exec(lines, names)
    expected = videoclf.load(tiny_model).predict(clip)
    assert names["label"] == expected.label
    np.testing.assert_allclose(names["score"], expected.score, atol=1e-4)


def test_a_file_that_is_there_is_refused_before_the_model_is_opened(tmp_path: Path) -> None:
    for out, mine in (("model.onnx", "model.onnx"), ("model.xml", "model.bin")):
        (tmp_path / mine).write_text("mine")
        with pytest.raises(RunFolderUnusableError, match=f"{mine}: already exists; choose another name, or add overw"):
            videoclf.export("no model of that name", tmp_path / out)
        with pytest.raises(ModelFileInvalidError, match="no model 'no model of that name'"):
            videoclf.export("no model of that name", tmp_path / out, overwrite=True)


def test_another_version_is_named(exported: Path, tmp_path: Path) -> None:
    changed = tmp_path / exported.name
    content = exported.read_bytes()
    old, new = (
        (b'videoclf_graph value="1"', b'videoclf_graph value="7"')
        if exported.suffix == ".xml"
        else (b"videoclf_graph\x12\x011", b"videoclf_graph\x12\x017")
    )
    assert old in content
    changed.write_bytes(content.replace(old, new))
    if exported.suffix == ".xml":
        changed.with_suffix(".bin").write_bytes(exported.with_suffix(".bin").read_bytes())
    with pytest.raises(
        ModelFileInvalidError, match="was exported in version '7', but this version reads 1; export its model"
    ):
        videoclf.load(changed)


def test_a_file_that_is_cut_short_is_named(exported: Path, tmp_path: Path) -> None:
    torn = tmp_path / exported.name
    torn.write_bytes(exported.read_bytes()[:-5000])
    with pytest.raises(ModelFileInvalidError, match=re.escape(str(tmp_path))):
        videoclf.load(torn)


def test_a_suffix_that_says_nothing_is_wrong_usage(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(UsageInvalidError, match=r"m.pt': its suffix must be .onnx or .xml"):
        videoclf.export(tiny_model, tmp_path / "m.pt")
