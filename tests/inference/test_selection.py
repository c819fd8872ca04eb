"""Which engine runs what, and what is said where none can."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

import videoclf
from tests.conftest import write_clip
from tests.inference.exported_models import openvino_or_skip
from videoclf.errors import EngineUnavailableError, ModelFileInvalidError, UsageInvalidError
from videoclf.inference import selection as opening
from videoclf.inference.engines import torch_engine
from videoclf.inference.engines.cuda import engine as gpu_engine
from videoclf.inference.engines.cuda.engine import GpuEngine
from videoclf.inference.engines.exported_engine import ExportedEngine
from videoclf.inference.engines.torch_engine import TorchEngine
from videoclf.modeling import device_map as placement
from videoclf.modeling.device_map import whole

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO: pip install 'videoclf[cpu]'")


@needs_openvino
def test_openvino_is_chosen_by_itself_on_a_cpu(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_GPU_FILES", ())
    assert isinstance(videoclf.load(tiny_model)._engine, ExportedEngine)
    assert isinstance(videoclf.load(tiny_model, engine="torch")._engine, TorchEngine)


def test_where_a_gpu_may_be_torch_is_chosen(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_GPU_FILES", ("null",))
    assert isinstance(videoclf.load(tiny_model)._engine, TorchEngine)


@pytest.mark.parametrize(("engine", "expected"), [("auto", GpuEngine), ("torch", TorchEngine)])
def test_on_a_gpu_its_own_engine_is_chosen_unless_torch_is_named(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, engine: str, expected: type[object]
) -> None:
    """A CPU stands in for the GPU: both engines run on it."""
    monkeypatch.setattr(placement, "find_device", lambda _name: torch.device("cuda"))
    monkeypatch.setattr(gpu_engine, "find_device", lambda _name: torch.device("cpu"))
    monkeypatch.setattr(torch_engine, "choose_device_map", lambda _name, _place: whole(torch.device("cpu")))
    assert isinstance(videoclf.load(tiny_model, engine=engine, device="cuda")._engine, expected)


def test_where_the_engine_of_a_gpu_fails_torch_does_the_work(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(placement, "find_device", lambda _name: torch.device("cuda"))
    monkeypatch.setattr(gpu_engine, "find_device", lambda _name: torch.device("cpu"))
    monkeypatch.setattr(torch_engine, "choose_device_map", lambda _name, _place: whole(torch.device("cpu")))
    monkeypatch.setattr(GpuEngine, "logits", fail)
    notes: list[str] = []
    assert isinstance(videoclf.load(tiny_model, device="cuda", progress=notes.append)._engine, TorchEngine)
    assert notes == ["cuda: its own engine fails here (no kernel image is available); plain torch is used instead"]


@pytest.mark.cuda
def test_on_a_gpu_a_video_gets_the_labels_it_gets_on_a_cpu(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", 40)
    on_cpu, on_gpu = (videoclf.load(device=device, engine="auto").predict(clip) for device in ("cpu", "cuda"))
    for ours, theirs in zip(on_gpu.labels[:3], on_cpu.labels[:3], strict=True):
        assert ours.label == theirs.label
        assert abs(ours.score - theirs.score) < 5e-3


def test_without_openvino_torch_is_chosen_silently(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda _name: None)
    notices: list[str] = []
    assert isinstance(videoclf.load(tiny_model, progress=notices.append)._engine, TorchEngine)
    assert notices == []


def test_openvino_asked_for_but_not_installed_says_what_to_install(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineUnavailableError, match=r"OpenVINO cannot be used \(.*\); pip install 'videoclf\[cpu\]'"):
        videoclf.load(tiny_model, engine="openvino")


def test_an_old_openvino_gives_way_with_a_notice(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("openvino")
    old.__version__ = "2023.1.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openvino", old)
    monkeypatch.setattr(opening, "find_spec", lambda _name: True)
    notices: list[str] = []
    assert isinstance(videoclf.load(tiny_model, device="cpu", progress=notices.append)._engine, TorchEngine)
    (notice,) = notices
    assert notice.startswith("OpenVINO 2023.1.0 is too old; pip install --upgrade 'videoclf[cpu]'")


def test_that_torch_does_the_work_is_not_said_of_a_model_that_it_cannot_open(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(opening, "find_spec", lambda _name: True)
    (tmp_path / "torn").write_bytes(tiny_model.read_bytes()[:-1])
    notices: list[str] = []
    with pytest.raises(ModelFileInvalidError, match="cut short"):
        videoclf.load(tmp_path / "torn", device="cpu", progress=notices.append)
    assert notices == []


@pytest.mark.parametrize(
    ("model", "settings", "complaint"),
    [
        (None, {"engine": "tensorflow"}, "engine 'tensorflow': there is none of that name; use auto, torch, openvino"),
        (None, {"engine": "onnx"}, "engine='onnx': runs exported files only; videoclf export"),
        (None, {"engine": "openvino", "device": "cuda"}, "device='cuda': openvino runs on the CPU; use engine"),
        ("m.onnx", {"engine": "openvino"}, "engine='openvino': m.onnx was exported for onnx; leave engine away"),
        ("m.xml", {"device": "cuda:1"}, "device='cuda:1': openvino runs on the CPU"),
    ],
)
def test_what_cannot_be_is_wrong_usage(model: str | None, settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageInvalidError) as caught:
        videoclf.load(model, **settings)  # type: ignore[arg-type]
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("name", ["m.onnx", "m.xml"])
@pytest.mark.parametrize("content", [None, b"", b"<xml>", b"\x08\x07garbage"])
def test_a_broken_export_is_one_line(tmp_path: Path, name: str, content: bytes | None) -> None:
    if name == "m.xml":
        openvino_or_skip()
    else:
        pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install 'videoclf[onnx]'")
    if content is not None:
        (tmp_path / name).write_bytes(content)
        (tmp_path / "m.bin").write_bytes(b"")
    with pytest.raises(ModelFileInvalidError) as caught:
        videoclf.load(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@needs_openvino
def test_openvino_reports_nothing_over_the_network() -> None:
    code = (
        "import sys; from videoclf.inference.engines.openvino_graph import import_openvino; import_openvino()\n"
        "sys.exit(any(name.startswith('openvino_telemetry.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_openvino
def test_predicting_with_a_converted_model_imports_no_torch(tmp_path: Path, tiny_model: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", 10)
    code = (
        "import atexit, sys, runpy; sys.argv[0] = 'videoclf'\n"
        "atexit.register(lambda: print([m for m in ('torch', 'torchvision', 'cv2') if m in sys.modules]))\n"
        "runpy.run_module('videoclf', run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "predict", str(clip), "--model", str(tiny_model), "--engine", "openvino"],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert result.stderr == ""
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "[]")
