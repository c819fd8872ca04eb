"""Models in forked processes: they predict there as they did before, and the parent's go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import videoclf
from tests.conftest import write_clip
from tests.forked import in_a_forked_process
from tests.inference.exported_models import openvino_or_skip
from videoclf.inference.engines.runtime_lifetime import PerProcess
from videoclf.inference.model import Model


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.avi", 80)


@pytest.fixture(params=["torch", "onnx"])
def model(request: pytest.FixtureRequest, tiny_model: Path) -> Model:
    if request.param == "torch":
        return videoclf.load(tiny_model, engine="torch", device="cpu")
    return videoclf.load(request.getfixturevalue("tiny_onnx"))


def scores(model: Model, clip: Path) -> list[str]:
    return [f"{entry.label} {entry.score:.4f}" for entry in model.predict(clip).labels]


def test_a_model_that_was_used_predicts_in_a_forked_process_and_in_its_parent(model: Model, clip: Path) -> None:
    before = scores(model, clip)
    for _ in range(2):
        assert in_a_forked_process(lambda: [scores(model, clip) for _ in range(2)]) == str([before, before])
    assert scores(model, clip) == before


def test_a_model_that_was_only_loaded_predicts_in_a_forked_process(model: Model, clip: Path) -> None:
    there = in_a_forked_process(lambda: scores(model, clip))
    assert there == str(scores(model, clip))


def test_features_are_the_same_in_a_forked_process(model: Model, clip: Path) -> None:
    before = model.features(clip).double().sum().item()
    there = in_a_forked_process(lambda: model.features(clip).double().sum().item())
    np.testing.assert_allclose(float(there), before, rtol=1e-5)


def test_a_model_can_be_loaded_in_a_forked_process(tiny_model: Path, clip: Path) -> None:
    before = scores(videoclf.load(tiny_model, engine="torch", device="cpu"), clip)
    there = in_a_forked_process(lambda: scores(videoclf.load(tiny_model, engine="torch", device="cpu"), clip))
    assert there == str(before)


def test_predictions_begun_before_a_fork_say_so_after_it(model: Model, clip: Path) -> None:
    begun = model.predict_many([clip] * 20)
    next(begun)
    assert "UsageInvalid: reading of these clips was started before os.fork()" in in_a_forked_process(
        lambda: list(begun)
    )
    assert len(list(begun)) == 19


@pytest.mark.parametrize("is_used", [True, False])
def test_openvino_says_at_once_that_it_stayed_with_the_parent(tiny_model: Path, clip: Path, is_used: bool) -> None:
    openvino_or_skip()
    model = videoclf.load(tiny_model, engine="openvino")
    before = scores(model, clip) if is_used else None
    for again in (lambda: scores(model, clip), lambda: videoclf.load(tiny_model, engine="openvino")):
        assert in_a_forked_process(again).splitlines()[-1] == (
            "videoclf.errors.EngineUnavailableError: OpenVINO was used before os.fork(), and its threads stayed "
            "with the "
            "parent; load the model only in the child (gunicorn: without --preload), or use engine='torch', which goes "
            "on in a forked process"
        )
    assert scores(model, clip) == (before or scores(model, clip))


def test_where_openvino_stayed_with_the_parent_torch_does_the_work(tiny_model: Path, clip: Path) -> None:
    openvino_or_skip()
    before = scores(videoclf.load(tiny_model, engine="openvino"), clip)

    def load_and_predict() -> str:
        notices: list[str] = []
        return f"{scores(videoclf.load(tiny_model, device='cpu', progress=notices.append), clip)} {notices}"

    there = in_a_forked_process(load_and_predict)
    assert there.startswith(str(before))
    assert "torch is used instead" in there


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
def test_a_forked_process_ends(engine: str, tiny_model: Path, clip: Path, request: pytest.FixtureRequest) -> None:
    """Freeing what the parent opened would wait for its threads, used here or not."""
    if engine == "openvino":
        openvino_or_skip()
    path = tiny_model if engine == "openvino" else request.getfixturevalue("tiny_onnx")
    code = (
        "import gc, os, sys, videoclf\n"
        "models = [videoclf.load(sys.argv[1], engine=sys.argv[2])]\n"
        "models[0].features(sys.argv[3])\n"
        "process_id = os.fork()\n"
        "if process_id == 0:\n"
        "    models.clear(); gc.collect(); sys.exit(3)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(process_id, 0)[1]))"
    )
    command = [sys.executable, "-c", code, str(path), engine, str(clip)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 3


def test_each_process_opens_its_own_once() -> None:
    opened: list[int] = []
    value = PerProcess(lambda: opened.append(0) or len(opened))  # type: ignore[func-returns-value]
    assert (value.get(), value.get()) == (1, 1)
    assert in_a_forked_process(lambda: (value.get(), value.get())) == "(2, 2)"
    assert value.get() == 1
