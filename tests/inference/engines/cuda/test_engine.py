"""The GPU's engine, on a CPU: it gives what the reference engine gives, and goes on where memory runs out.

Tests marked `cuda` hold a GPU to the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from videoclf.errors import DeviceUnavailableError, MemoryExhaustedError
from videoclf.inference.engines.cuda.engine import GpuEngine
from videoclf.inference.engines.cuda.execution_mode import in_mode
from videoclf.inference.engines.cuda.launching import Launching
from videoclf.inference.engines.cuda.preprocess import PreparedWindow
from videoclf.inference.engines.cuda.upload import Stream
from videoclf.inference.engines.torch_engine import TorchEngine
from videoclf.media.frames import RgbFrames
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.recipe import Recipe

CPU = torch.device("cpu")
ON_A_GPU = pytest.param("cuda", marks=pytest.mark.cuda)
RESIDUAL_CLIPS = {"backbone": {"name": "r3d_18", "temporal_stride": 2}}
SIZES = ((5, 40, 61), (21, 33, 32), (1, 90, 20))
"""Frames, rows and columns of three windows; the second comes in two chunks."""

RECIPES: dict[str, dict[str, Any]] = {
    "frames": {"backbone": {"name": "tiny"}},
    "views": {"backbone": {"name": "tiny"}, "preprocess": {"channels": ["rgb", "gray_triplet", "difference"]}},
    "motion alone": {"backbone": {"name": "tiny"}, "preprocess": {"channels": ["difference"]}},
    "mirrored": {
        "backbone": {"name": "tiny", "frozen": True},
        "head": {"ridge": True},
        "testing": {"horizontal_flip": True},
    },
    "tapped": {"backbone": {"name": "mobilenet_v2", "intermediate_stage_from_top": 5}},
    "shifted": {"backbone": {"name": "resnet18", "temporal_shift": True}},
    "clips": {"backbone": {"name": "s3d", "temporal_stride": 2}},
    "clips of views": {
        "backbone": {"name": "inflated:tiny"},
        "preprocess": {"channels": ["rgb", "gray_triplet"]},
        "testing": {"horizontal_flip": True},
    },
}


def build(name: str) -> tuple[VideoClassifier, Recipe]:
    changes = RESIDUAL_CLIPS if name == "residual clips" else RECIPES[name]
    preprocess = {"height": 32, "width": 32, **changes.get("preprocess", {})}
    recipe = Recipe.model_validate({**changes, "preprocess": preprocess})
    classifier = build_classifier(recipe, 3)
    if classifier.ridge is not None:
        nn.init.normal_(classifier.ridge.weight, std=0.1)
    clips = torch.randn(2, 4, 3 * len(recipe.preprocess.channels), 32, 32)
    with torch.no_grad():  # batch norms that have seen something: features of a size that half precision can hold
        for _ in range(20):
            classifier.train()(clips, torch.tensor([4, 4]))
    return classifier.eval(), recipe


def window(num_frames: int, height: int, width: int) -> Iterator[RgbFrames]:
    rng = np.random.default_rng(num_frames)
    rgb = rng.integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)
    for first in range(0, num_frames, 16):
        chunk = rgb[first : first + 16]
        yield RgbFrames(chunk, np.arange(len(chunk), dtype=np.float64), "x")


def windows(engine: Any) -> list[Any]:
    return [engine.preprocess(window(*size)) for size in SIZES]


@pytest.mark.parametrize("device", ["cpu", ON_A_GPU])
@pytest.mark.parametrize("name", RECIPES)
def test_it_gives_what_the_reference_engine_gives(name: str, device: str) -> None:
    """On a GPU pixels are off by a fraction of a grey level (tests/kernels), and sums are in another order."""
    classifier, recipe = build(name)
    notices: list[str] = []
    truth = TorchEngine(classifier, recipe, "cpu")
    expected, sequences = truth.logits(windows(truth)), [truth.features(w) for w in windows(truth)]
    engine = GpuEngine(classifier, recipe, device, notice=notices.append)
    bound = 1e-5 if device == "cpu" else 1e-2
    assert notices == []
    np.testing.assert_allclose(engine.logits(windows(engine)), expected, atol=bound)
    for found, right in zip(windows(engine), sequences, strict=True):
        features = engine.features(found)
        assert features.shape == right.shape
        np.testing.assert_allclose(features, right, atol=bound * np.abs(right).max())


@pytest.mark.parametrize("device", ["cpu", ON_A_GPU])
@pytest.mark.parametrize("name", ["frames", "shifted", "clips of views"])
def test_a_clip_alone_or_in_a_batch_gets_the_same(name: str, device: str) -> None:
    engine = GpuEngine(*build(name), device)
    given = windows(engine)
    alone = np.concatenate([engine.logits([each]) for each in given])
    np.testing.assert_allclose(engine.logits(given), alone, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["frames", "tapped", "residual clips"])
@pytest.mark.parametrize("launching", list(Launching))
def test_in_half_precision_a_gpu_stays_close(name: str, launching: Launching) -> None:
    classifier, recipe = build(name)
    if name == "residual clips" and launching is not Launching.EAGER:
        pytest.skip("a 3D network is started layer by layer")
    truth = TorchEngine(classifier, recipe, "cpu")
    expected = truth.logits(windows(truth))
    engine = GpuEngine(classifier, recipe, "cuda", precision="float16", launching=launching)
    assert engine.mode.dtype == torch.float16
    np.testing.assert_allclose(engine.logits(windows(engine)), expected, atol=2e-2)


@pytest.mark.parametrize("name", ["frames", "views", "mirrored", "tapped"])
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_nothing_on_the_gpu_meets_what_is_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors that have no values, only shapes and devices, go all the way; half of the work is in half precision."""
    engine = GpuEngine(*build(name), "cpu")
    num_channels = 3 * len(engine._recipe.preprocess.channels)
    monkeypatch.setattr(PreparedWindow, "on", lambda window, _device: list(window.parts))
    with FakeTensorMode(), torch.inference_mode():
        for part, dtype in ((engine._backbone, torch.float16), (engine._classifier, None)):
            for module in part.modules():
                for tensors in (module._parameters, module._buffers):
                    for key, tensor in tensors.items():
                        if tensor is not None:
                            kind = dtype if dtype and tensor.is_floating_point() else tensor.dtype
                            fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=kind, device="cuda")
                            tensors[key] = nn.Parameter(fake, requires_grad=False)
                if isinstance(module, nn.GRU):
                    module._flat_weights = [getattr(module, key) for key in module._flat_weights_names]
        engine.device = torch.device("cuda")
        given = [
            PreparedWindow(
                (torch.empty(n, num_channels, 32, 32, dtype=torch.float16, device="cuda"),), Stream(CPU).mark()
            )
            for n in (5, 21, 1)
        ]
        logits = engine._logits(given)
    assert (logits.shape, logits.dtype, logits.device.type) == ((3, 3), torch.float32, "cuda")


def out_of_memory() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nSee the documentation.")


@pytest.mark.parametrize("name", ["frames", "clips"])
def test_where_memory_runs_out_less_goes_through_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[str] = []
    engine = GpuEngine(*build(name), "cpu", notice=notices.append)
    given = windows(engine)
    expected = engine.logits(given)
    network = engine._backbone.network
    forward, seen = network.forward, []

    def forward_little(items: torch.Tensor, *rest: Any) -> Any:
        num_frames = len(items) * (items.shape[2] if items.ndim == 5 else 1)
        seen.append(num_frames)
        if engine._frames_per_pass > 30:  # as on a GPU: there, 3D clips go together
            raise out_of_memory()
        return forward(items, *rest)

    monkeypatch.setattr(network, "forward", forward_little)
    np.testing.assert_allclose(engine.logits(given), expected, atol=1e-5)
    assert notices == [f"cpu ran out of memory: from now on {n} frames at a time" for n in (64, 32, 16)]
    seen.clear()
    engine.logits(given)
    assert max(seen) <= 21  # the longest window, in one pass where it is a 3D network's
    assert len(notices) == 3  # it remembers


def test_what_else_fails_is_no_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = GpuEngine(*build("frames"), "cpu")
    words = iter(["cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "cuDNN error: CUDNN_STATUS_BAD_PARAM"])

    def fail(*_: object) -> Any:
        raise RuntimeError(next(words))

    monkeypatch.setattr(engine._backbone.network, "forward", fail)
    with pytest.raises(RuntimeError, match="BAD_PARAM"):
        engine.logits(windows(engine))
    assert engine._frames_per_pass == 64  # halved once, for the first of them


def test_where_a_single_frame_is_too_much_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = GpuEngine(*build("frames"), "cpu")

    def fail(*_: object) -> Any:
        raise out_of_memory()

    monkeypatch.setattr(engine._backbone.network, "forward", fail)
    with pytest.raises(MemoryExhaustedError) as caught:
        engine.logits(windows(engine))
    assert str(caught.value) == (
        "cpu: out of memory with one frame at a time (CUDA out of memory. Tried to allocate 9 GiB. See the "
        "documentation.); close other programs that use this GPU, or use device='cpu'"
    )


def test_a_network_without_room_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise out_of_memory()

    monkeypatch.setattr("videoclf.inference.engines.cuda.execution_mode.in_mode", fail)
    with pytest.raises(MemoryExhaustedError, match="^cpu: has too little memory for the network .CUDA out of memory"):
        GpuEngine(*build("frames"), "cpu")


@pytest.mark.parametrize("name", ["frames", "views"])
def test_frames_that_find_no_room_wait_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[str] = []
    engine = GpuEngine(*build(name), "cpu", notice=notices.append)
    expected = engine.logits(windows(engine))
    upload, num_calls = engine._preparation._staging.upload, iter(range(100))

    def upload_some(arrays: Any) -> torch.Tensor:
        if next(num_calls) == 2:  # a chunk in the middle
            raise out_of_memory()
        return upload(arrays)

    monkeypatch.setattr(engine._preparation._staging, "upload", upload_some)
    assert np.array_equal(engine.logits(windows(engine)), expected)
    (notice,) = notices
    assert notice.startswith("cpu has no memory for more frames (CUDA out of memory")


@pytest.mark.parametrize("name", ["frames", "views", "clips", "shifted"])
def test_nothing_is_computed_for_padding_by_a_network_of_frames(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = GpuEngine(*build(name), "cpu")
    given = windows(engine)
    network = engine._backbone.network
    forward, seen = network.forward, []

    def count(items: torch.Tensor, *rest: Any) -> Any:
        seen.append(len(items) * (items.shape[2] if items.ndim == 5 else 1))
        return forward(items, *rest)

    monkeypatch.setattr(network, "forward", count)
    engine.logits(given)
    num_views = 3 if name == "views" else 1
    assert sum(seen) == num_views * sum(size[0] for size in SIZES)


def test_the_model_files_precision_is_tried_and_refused_where_features_are_too_small_for_it() -> None:
    """Random weights without statistics: MobileNetV2's features lie below what float16 can hold."""
    recipe = Recipe.model_validate({"backbone": {"name": "mobilenet_v2"}, "preprocess": {"height": 32, "width": 32}})
    classifier, notices = build_classifier(recipe, 3).eval(), list[str]()
    engine = GpuEngine(classifier, recipe, "cpu", precision="float16", notice=notices.append)
    assert str(engine.mode) == "float32, channels-last"
    assert engine.computes_on == "cpu, float32, channels-last"
    assert len(notices) == 2
    assert all(notice.startswith("the network in float16") for notice in notices)


def test_a_padded_pass_of_a_3d_network_is_what_a_gpu_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU its backbone takes clips one by one; here it is made to take them as on a GPU."""
    classifier, recipe = build("clips")
    engine = GpuEngine(classifier, recipe, "cpu")
    expected = engine.logits(windows(engine))
    backbone: Any = in_mode(classifier, engine.mode, CPU)
    monkeypatch.setattr(backbone, "forward", backbone.run_padded)
    engine._backbone = backbone
    np.testing.assert_allclose(engine.logits(windows(engine)), expected, atol=1e-5)


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceUnavailableError, match="device='cuda:99': "):
        GpuEngine(*build("frames"), "cuda:99")
