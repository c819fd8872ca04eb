"""What the first version wrote is read for good: ``format1/`` is its own work (commit 08b1e9f, by ``make.py.txt``)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import videoclf
from videoclf.inference.prediction import Prediction
from videoclf.progress import SilentProgress
from videoclf.results.reader import read_result
from videoclf.training.examples import feature_encoder

KEPT = Path(__file__).parent / "format1"
WRITTEN_IN = Path("/tmp/compat")
"""Cross-validations know their clips by absolute paths."""
VERSIONS = {"torch": "2.14.1", "torchvision": "0.29.1", "videoclf": "0.1.0"}
DECODER = "av 18.1.0, libavformat 62.12.102, libavcodec 62.28.102, libswscale 9.5.102"
CROSSVAL: dict[str, Any] = {"by": "group", "num_folds": 2, "device": "cpu", "feature_cache": "cache"}


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def notice(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to work in, on the machine, as it were, that wrote it."""
    shutil.copytree(KEPT, tmp_path / "kept")
    monkeypatch.chdir(tmp_path / "kept")
    monkeypatch.setattr(feature_encoder, "version", VERSIONS.__getitem__)
    monkeypatch.setattr(feature_encoder, "decoder_version", lambda _decoder: DECODER)
    absolute = Path.absolute

    def moved(path: Path) -> Path:
        found = absolute(path)
        return WRITTEN_IN / found.relative_to(tmp_path / "kept") if path.parts[:1] == ("clips",) else found

    monkeypatch.setattr(Path, "absolute", moved)
    return tmp_path / "kept"


@pytest.mark.parametrize("model", ["run-finished/model.safetensors", "exported.onnx"])
def test_a_model_file_predicts_what_it_did_and_nothing_is_said(model: str, kept: Path) -> None:
    if model.endswith(".onnx"):
        pytest.importorskip("onnxruntime")
    said: list[str] = []
    loaded = videoclf.load(kept / model, engine="torch" if model.endswith("tensors") else "auto", progress=said.append)
    assert said == []
    for source, scores in json.loads((kept / "expected.json").read_text()).items():
        prediction = loaded.predict(source)
        assert isinstance(prediction, Prediction)
        assert {each.label: each.score for each in prediction.labels} == pytest.approx(scores, abs=1e-4)


def test_finished_runs_are_compared(kept: Path) -> None:
    comparison = videoclf.compare([kept / "run-finished", kept / "crossval-finished"])
    assert [(each.num_clips, each.top1) for each in comparison.runs] == [(2, 0.5), (8, 0.5)]
    assert [pair.num_clips for pair in comparison.pairs] == [2]
    assert len(read_result(kept / "crossval-finished").clips) == 8


def test_of_a_finished_run_nothing_is_left_to_do(kept: Path) -> None:
    watcher = Notes()
    run = videoclf.train("clips", out="run-finished", split="leave-out:g04", resume=True, progress=watcher)
    assert watcher.notes == ["run-finished: the run is finished; nothing is left to do"]
    assert run.metrics.top1 == 0.5


def test_a_half_done_run_goes_on(kept: Path) -> None:
    watcher = Notes()
    run = videoclf.train(
        "clips", out="run-interrupted", split="leave-out:g04", device="cpu", resume=True, progress=watcher
    )
    assert not any("is incomplete" in note or "recipe" in note for note in watcher.notes)
    whole = load_file(kept / "run-finished/model.safetensors")
    torch.testing.assert_close(load_file(run.model_path), whole, atol=1e-3, rtol=1e-3)


def test_a_half_done_run_finds_its_features_in_the_old_cache(kept: Path) -> None:
    num_files = len(list((kept / "cache").glob("*/*.safetensors")))
    watcher = Notes()
    videoclf.train(
        "clips", out="run-frozen-interrupted", split="leave-out:g04", device="cpu", feature_cache="cache", resume=True,
        progress=watcher,
    )  # fmt: skip
    assert [note for note in watcher.notes if note.startswith("features:")] == [
        "features: 2 of 2 clips from the cache cache"
    ]
    assert len(list((kept / "cache").glob("*/*.safetensors"))) == num_files


def test_a_half_done_cross_validation_goes_on(kept: Path) -> None:
    watcher = Notes()
    metrics = videoclf.crossval(
        "clips", out="crossval-interrupted", recipe=kept / "crossval-interrupted/recipe.toml", progress=watcher,
        **CROSSVAL,
    )  # fmt: skip
    assert "1 of 2 folds are finished and are kept: crossval-interrupted" in watcher.notes
    assert watcher.notes[-1] == "features: 8 of 8 clips from the cache cache"
    whole = json.loads((kept / "crossval-finished/metrics.json").read_text())
    assert metrics.pooled.num_clips == whole["pooled"]["num_clips"] == 8
    assert metrics.top1.mean == pytest.approx(whole["top1"]["mean"], abs=0.13)
