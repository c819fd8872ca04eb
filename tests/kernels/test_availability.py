"""Where kernels cannot run, one line says why; nothing raises."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable

import pytest
import torch

from videoclf.kernels import availability, self_test

ask: Callable[[torch.device], str | None] = availability.why_no_kernels.__wrapped__


@pytest.fixture
def one_h200(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    monkeypatch.setattr(self_test, "try_kernels", lambda _: None)


def test_a_cpu_is_no_cuda_device() -> None:
    assert ask(torch.device("cpu")) == "cpu is not a CUDA device"


@pytest.mark.usefixtures("one_h200")
def test_a_new_enough_gpu_runs_them() -> None:
    pytest.importorskip("triton")
    assert ask(torch.device("cuda:0")) is None


@pytest.mark.usefixtures("one_h200")
def test_a_gpu_that_is_not_there_is_named() -> None:
    assert ask(torch.device("cuda:7")) == "cuda:7 does not exist: this machine's GPUs are cuda:0 to cuda:0"


@pytest.mark.usefixtures("one_h200")
def test_an_older_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert ask(torch.device("cuda")) == "NVIDIA H200 is sm_75; the kernels need sm_80 or newer"


def test_what_torch_says_of_an_old_driver_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> bool:
        warnings.warn("The NVIDIA driver on your system is too old\n(found version 11040)", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", warn)
    reason = "torch finds no GPU (The NVIDIA driver on your system is too old (found version 11040))"
    assert ask(torch.device("cuda")) == reason


@pytest.mark.usefixtures("one_h200")
def test_an_interpreted_triton_is_not_taken_for_a_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "unset it" in str(ask(torch.device("cuda")))


@pytest.mark.usefixtures("one_h200")
def test_a_missing_triton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    assert str(ask(torch.device("cuda"))).startswith("Triton cannot be imported (")


@pytest.mark.usefixtures("one_h200")
def test_a_kernel_that_cannot_be_compiled_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")

    def fail(_device: torch.device) -> str | None:
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC environment variable.")

    monkeypatch.setattr(self_test, "try_kernels", fail)
    reason = "a kernel cannot be started (Failed to find C compiler. Please specify via CC environment variable.); "
    assert str(ask(torch.device("cuda"))).startswith(reason)


@pytest.mark.usefixtures("one_h200")
def test_a_kernel_that_is_wrong_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(self_test, "try_kernels", lambda _: "preprocess")
    reason = "the result of preprocess differs from its reference; please report this GPU"
    assert ask(torch.device("cuda")) == reason


def test_without_triton_the_references_run() -> None:
    program = (
        "import sys; sys.modules['triton'] = None; import torch\n"
        "from videoclf.kernels.temporal_shift import temporal_shift\n"
        "import videoclf.kernels.preprocess\n"
        "print(temporal_shift(torch.ones(2, 8, 1, 1), torch.tensor([[0, 0], [1, 1]])).sum().item())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "14.0\n"  # of sixteen, the first frame lacks one before, the second one after
