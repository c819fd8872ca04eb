"""Nothing calls out unasked: neither we, nor what the extras bring along."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import write_clip
from tests.without_sockets import KILLED, can_be_watched

ROOT = Path(__file__).parents[1]
EXTRAS = ("onnxruntime", "openvino", "timm", "torchcodec", "tensorboard")

AS_WE_USE_THEM = """
import contextlib
import videoclf
from videoclf.cli.info import _facts
from videoclf.inference.export.export import conversions
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.modeling.classifier import build_backbone
from videoclf.recipe.recipe import Recipe
from videoclf.errors import DeviceUnavailableError
import videoclf.evaluation.metrics
clip, model, folder = map(Path, sys.argv[1:])
_facts()
videoclf.export(model, folder / "m.onnx")
conversions._convert(model, print)
videoclf.load(folder / "m.onnx").predict(clip)
openvino = videoclf.load(model, engine="openvino")
openvino.predict(clip)
with contextlib.suppress(DeviceUnavailableError):  # it finds no FFmpeg on this machine; imported it is
    openvino.predict(clip, reading=ReadOptions(decoder=DecoderName.TORCHCODEC))
build_backbone(Recipe.model_validate({"backbone": {"name": "timm:resnet10t"}}))
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter(str(folder)) as writer:
    writer.add_scalar("loss", 1.0, 1)
"""

pytestmark = pytest.mark.skipif(not can_be_watched(), reason="needs Linux on x86-64 or aarch64")


def watched(code: str, home: Path, *arguments: object) -> int:
    """The return code of a program in a process of its own that ends at its first socket."""
    beginning = (
        "import sys, time; from pathlib import Path\n"
        "from tests.without_sockets import end_at_the_first_socket; end_at_the_first_socket()\n"
    )
    folders = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(
        [sys.executable, "-c", beginning + code, *map(str, arguments)],
        cwd=ROOT, env=without_the_switch() | folders, check=False, stdout=subprocess.DEVNULL,
    ).returncode  # fmt: skip


def without_the_switch() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}


def test_a_socket_ends_a_watched_process(tmp_path: Path) -> None:
    assert watched("import socket; socket.socketpair()", tmp_path) == 0
    assert watched("import socket; socket.socket()", tmp_path) == KILLED


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs ONNX Runtime: pip install 'videoclf[onnx]'")
def test_onnxruntime_prepares_no_report(tmp_path: Path) -> None:
    """It reports after some seconds, but makes its database at once."""
    assert watched("import videoclf, onnxruntime", tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "left"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_what_the_user_says_of_onnxruntimes_reports_is_left(given: dict[str, str], left: str) -> None:
    code = "import os, videoclf; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    result = subprocess.run(
        [sys.executable, "-c", code], env=without_the_switch() | given, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == left


@pytest.mark.slow  # reports come late: it waits for them
def test_no_extra_calls_out(tmp_path: Path, tiny_model: Path) -> None:
    missing = [name for name in EXTRAS if find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'videoclf[dev]'")
    (tmp_path / "home").mkdir()
    clip = write_clip(tmp_path / "clip.mp4", 30)
    assert watched(f"{AS_WE_USE_THEM}\ntime.sleep(15)", tmp_path / "home", clip, tiny_model, tmp_path) == 0
