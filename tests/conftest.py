"""What several test rooms share: the demo set, small clips whose frame numbers can be read back, and a tiny model.

Torch is imported by what uses it: the process that hands tests to workers does without.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import secrets
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import av
import numpy as np
import pytest
from hypothesis import settings

import videoclf
from videoclf.media.frames import UInt8Array
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe
from videoclf.zoo import find_recipe

if TYPE_CHECKING:
    import torch

settings.register_profile("default", deadline=None)  # machines are shared: a slow example is no failure
settings.load_profile("default")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch, here and in what tests start: a worker has a core

SHARED = Path(__file__).parents[2] / "shared"
NUM_BITS = 10
BLOCK = 16
"""Side, in pixels, of the squares that code one bit of a frame's number: codecs keep them apart."""


_GROWTH_BYTES = 200 << 20
"""What a worker may grow by before unused memory goes back to the system."""
_rss_bytes_then = 0
"""The process's resident memory when that was done last."""


def pytest_collection_finish() -> None:
    """What is there before the first test stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_logfinish() -> None:
    """After large networks: unasked, glibc keeps what they took, and a worker grows to several GB."""
    global _rss_bytes_then  # noqa: PLW0603
    if _rss_bytes() > _rss_bytes_then + _GROWTH_BYTES:
        gc.collect()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)
        _rss_bytes_then = _rss_bytes()


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.hookimpl(tryfirst=True)  # before a test's own reason to be skipped
def pytest_runtest_setup(item: pytest.Item) -> None:
    """With ``VIDEOCLF_REQUIRE_CUDA=1`` a GPU that is not there is a failure, not a skip."""
    if not item.get_closest_marker("cuda"):
        return
    import torch

    from videoclf.kernels.availability import why_no_kernels

    if reason := why_no_kernels(torch.device("cuda")):
        if os.environ.get("VIDEOCLF_REQUIRE_CUDA") == "1":
            pytest.fail(f"VIDEOCLF_REQUIRE_CUDA=1, but {reason}")
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _restored_random_state() -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def workers_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this run; see `made_once`."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if hasattr(request.config, "workerinput") else own) / "of-all-workers"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to want it makes, while others wait; nobody writes there later."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            draft = folder.with_suffix(".part")
            draft.mkdir()
            make(draft)
            draft.rename(folder)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory, workers_folder: Path) -> Iterator[Path]:
    """No test, nor what it starts, writes to the home of who runs it; for what longer-lived fixtures do."""
    folder = tmp_path_factory.mktemp("caches")
    (workers_folder / "engines").mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOCLF_CACHE", str(folder / "session"))
        (folder / "session").mkdir()
        (folder / "session" / "engines").symlink_to(workers_folder / "engines")
        yield folder


@pytest.fixture(autouse=True)
def feature_cache_folder(_caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A feature cache of each test's own: none is served what another computed. The folder is not there yet.

    Models converted for OpenVINO are shared, by all workers: they are named by their content, and each takes seconds.
    """
    folder = _caches / secrets.token_hex(4)
    folder.mkdir()
    (folder / "engines").symlink_to((_caches / "session" / "engines").resolve())
    monkeypatch.setenv("VIDEOCLF_CACHE", str(folder))
    return folder / "features"


@pytest.fixture
def engine_folder(feature_cache_folder: Path) -> Path:
    """A test's own folder of converted models. It is not there yet."""
    folder = feature_cache_folder.with_name("engines")
    folder.unlink()
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real clips beside the checkout; tests that use them are skipped where they are not."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"needs the real clips in {SHARED / 'data'}")
    return SHARED / "data"


@pytest.fixture(scope="session")
def demo_folder(workers_folder: Path) -> Path:
    """The 288 clips of `videoclf demo-data`."""
    from videoclf.data.demo import render_demo_data

    return made_once(workers_folder / "demo", render_demo_data)


@pytest.fixture
def large_memory(workers_folder: Path) -> Iterator[None]:
    """For a test that takes more than a GB: of all workers, one at a time runs such a test."""
    with (workers_folder / "large-memory.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def without_reports() -> Iterator[None]:
    """For tests that never read report.html: drawing it takes longer than training a tiny network."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("training.run.train", "results.evaluate", "cross_validation.crossval"):
            patch.setattr(f"videoclf.{module}.write_report", lambda path, **_: path.write_text("<!doctype html>"))
        yield


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return load_recipe(find_recipe("tiny"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Recipe) -> Path:
    """A model file of the tiny recipe with random weights and the demo set's classes."""
    import torch

    from videoclf.modeling.checkpoint import save_model
    from videoclf.modeling.classifier import build_classifier

    torch.manual_seed(0)
    labels = ("Clockwise", "Counterclockwise", "ZigzagAcross", "ZigzagDown")
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(
        path, build_classifier(tiny_recipe, 4), ModelHeader(name="random-tiny", recipe=tiny_recipe, labels=labels)
    )
    videoclf.load(path)  # where there is OpenVINO, it is converted here, and the first test that predicts hears no note
    return path


@pytest.fixture(scope="session")
def tiny_onnx(tiny_model: Path, workers_folder: Path) -> Path:
    """The tiny model exported for ONNX Runtime; nobody writes to its folder."""
    pytest.importorskip("onnxruntime", reason="needs ONNX Runtime: pip install 'videoclf[onnx]'")
    folder = made_once(workers_folder / "onnx", lambda draft: videoclf.export(tiny_model, draft / "model.onnx"))
    return folder / "model.onnx"


class PlantWeights(Protocol):
    """What the fixture `plant_weights` gives."""

    def __call__(self, name: str) -> dict[str, torch.Tensor]:
        """Put random weights of one of torchvision's networks where torch keeps downloads."""
        ...


@pytest.fixture
def plant_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlantWeights:
    """torch's cache in a folder of the test's own, with files of the right names and shapes: the loading is real."""
    import torch
    import torchvision

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)

    def plant(name: str) -> dict[str, torch.Tensor]:
        tensors: dict[str, torch.Tensor] = torchvision.models.get_model(name).state_dict()
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        torch.save(tensors, folder / url.rpartition("/")[2])
        return tensors

    return plant


def numbered_frame(number: int, width: int = BLOCK * NUM_BITS, height: int = 2 * BLOCK) -> UInt8Array:
    """A frame whose number stands in its upper row as black and white squares (lowest bit first)."""
    frame = np.full((height, width, 3), 90, np.uint8)
    for bit in range(NUM_BITS):
        frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
    return frame


def read_number(rgb: UInt8Array) -> int:
    """The number in a decoded `numbered_frame` (``H×W×3``)."""
    middle = BLOCK // 2
    return sum(int(rgb[middle, bit * BLOCK + middle].mean() > 128) << bit for bit in range(NUM_BITS))


def write_clip(
    path: Path,
    num_frames: int,
    *,
    fps: int = 25,
    codec: str = "mpeg4",
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    rotation: int = 0,
    pixel_format: str = "yuv420p",
    first_number: int = 0,
) -> Path:
    """Encode numbered frames: at a constant rate, or shown at the given stamps (in the time base)."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options or {})
        first = numbered_frame(0)
        stream.width, stream.height, stream.pix_fmt = first.shape[1], first.shape[0], pixel_format
        stream.bit_rate = 4_000_000
        if time_base is not None:
            stream.codec_context.time_base = time_base
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(num_frames):
            frame: Any = av.VideoFrame.from_ndarray(numbered_frame(first_number + number), format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[number], time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A file of known container that holds sound and no pictures."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        for _ in range(20):
            frame: Any = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
