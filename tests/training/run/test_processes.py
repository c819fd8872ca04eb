"""Several processes on the CPU: they train what one would, and what goes wrong in them is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

import videoclf
from tests.conftest import write_clip
from tests.training.differences import largest_difference
from videoclf.errors import DatasetInvalidError, DeviceUnavailableError, ProcessLostError, UsageInvalidError
from videoclf.progress import Progress, SilentProgress
from videoclf.training.loop.collectives import process_group_of
from videoclf.training.run.interruption import Interrupted, interruptible
from videoclf.training.run.processes import in_processes, make_fabric

CPU = torch.device("cpu")


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.stages: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)

    def stage(self, name: str, total: int) -> None:
        self.stages.append(name)


def agree(fabric: Fabric, progress: Progress, check: Callable[[], None]) -> tuple[list[int], list[float]]:
    process_group = process_group_of(fabric)
    progress.stage(f"process {process_group.rank}", 1)
    progress.notice(f"from {process_group.rank}")
    return process_group.gather(process_group.rank * 10), process_group.sum([1.0, process_group.rank]).tolist()


def fail(fabric: Fabric, progress: Progress, check: Callable[[], None]) -> None:
    process_group = process_group_of(fabric)
    if process_group.rank == 1:
        raise DatasetInvalidError("clips: gone; bring them back")
    process_group.gather(None)


def die(fabric: Fabric, progress: Progress, check: Callable[[], None]) -> None:
    process_group = process_group_of(fabric)
    if process_group.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    process_group.gather(None)


def wait(fabric: Fabric, progress: Progress, check: Callable[[], None]) -> None:
    process_group = process_group_of(fabric)
    progress.stage("waiting", 1)  # heard once: of the first process
    while process_group.rank == 0:
        check()
        time.sleep(0.01)
    process_group.gather(None)


def run(work: Callable[..., object], progress: Progress) -> object:
    return in_processes(work, make_fabric(CPU, "32-true", 2), progress, lambda: None, lambda _event: None)


def test_they_agree_and_all_are_heard() -> None:
    notes = Notes()
    assert run(agree, notes) == ([0, 10], [2.0, 1.0])
    assert notes.stages == ["process 0"]
    assert sorted(notes.texts) == ["from 0", "from 1"]


def test_what_one_of_them_raises_is_raised_here() -> None:
    with pytest.raises(DatasetInvalidError, match="clips: gone; bring them back"):
        run(fail, SilentProgress())


def test_one_that_is_killed_is_missed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        ProcessLostError, match=r"training process 1 ended without a message .*; .*resume=True continues"
    ):
        run(die, SilentProgress())
    assert "Terminating process" not in capfd.readouterr().err  # torch's word of it: one line is enough


def test_a_signal_to_the_parent_stops_them_all() -> None:
    class Signalling(SilentProgress):
        def stage(self, name: str, total: int) -> None:
            if name == "waiting":
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # this is the listener's

    children: list[Event] = []

    def stop_children() -> None:
        children[0].set()

    with interruptible(lambda _: None, also=stop_children) as check:
        fabric = make_fabric(CPU, "32-true", 2)
        with pytest.raises(Interrupted):
            in_processes(wait, fabric, Signalling(), check, children.append)


def test_more_gpus_than_there_are_cannot_be_had() -> None:
    number = torch.cuda.device_count() + 2
    with pytest.raises(DeviceUnavailableError, match=f"num_devices={number}: this machine has"):
        make_fabric(torch.device("cuda"), "32-true", number)


def test_no_process_at_all_trains_nothing() -> None:
    with pytest.raises(UsageInvalidError, match="num_devices=0: training needs at least one device; use 1 or more"):
        make_fabric(CPU, "32-true", 0)


def test_processes_that_would_share_a_core_cannot_be_had() -> None:
    with pytest.raises(
        DeviceUnavailableError, match=r"num_devices=9999: each process on the CPU needs a core, and there"
    ):
        make_fabric(CPU, "32-true", 9999)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in four groups, one clip of them broken."""
    folder = tmp_path_factory.mktemp("shared-out")
    for label in ("Long", "Short"):
        (folder / label).mkdir()
        for group in range(1, 5):
            num_frames = 20 + 3 * group if label == "Long" else 5 + group
            write_clip(folder / label / f"v_{label}_g{group:02}_c01.avi", num_frames, first_number=64 * group)
    (folder / "Long" / "v_Long_g01_c02.avi").write_bytes(b"RIFF....AVI broken")
    return folder


OVERRIDES = (
    "sampling.fps=4", "backbone.frozen=true", "training.batch_size=2", "training.epochs=25", "training.patience=25",
    "training.refit=true", "temporal.dropout=0.3", "temporal.input_norm=standardise", "augment.mixup_alpha=0.2",
    "head.ridge=true",
)  # fmt: skip


def test_two_train_what_one_would_with_the_same_batches(data: Path, tmp_path: Path) -> None:
    """50 steps (two epochs' worth each of the last batch smaller), dropout, mixup and refit among them."""
    notes = Notes()
    one, two = (
        videoclf.train(
            data, out=tmp_path / name / "run", recipe="tiny", overrides=[*OVERRIDES, f"training.accumulate={batches}"],
            num_devices=num_devices, split="leave-out:g04", device="cpu", progress=notes,
        )
        for name, num_devices, batches in (("one", 1, 2), ("two", 2, 1))
    )  # fmt: skip
    weights = load_file(one.model_path)
    for name, tensor in load_file(two.model_path).items():
        torch.testing.assert_close(tensor, weights[name], atol=1e-5, rtol=1e-5)
    sys.stdout.write(
        f"\ntwo processes and one: weights differ by {largest_difference(one.model_path, two.model_path):.1e} at most\n"
    )
    assert one.num_unreadable == two.num_unreadable == 1
    assert two.metrics.num_clips == one.metrics.num_clips
    assert sum("broken" in text or "c02" in text for text in notes.texts) >= 2


def test_under_torchrun_its_processes_train_together(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command += ["-m", "videoclf", "train", str(data), "--recipe", "tiny", "--out", str(tmp_path / "run")]
    command += ["--split", "leave-out:g04", "--device", "cpu", "--set", "training.epochs=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert (tmp_path / "run" / "report.html").exists(), done.stderr
    assert done.stdout.count("model: ") == 1


ORPHAN = """
import os, sys, time
from pathlib import Path
import torch
from videoclf.progress import SilentProgress
from videoclf.training.run.processes import in_processes, make_fabric

def stay(fabric, progress, check):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    in_processes(stay, make_fabric(torch.device("cpu"), "32-true", 2), SilentProgress(), lambda: None, lambda _: None)
"""


def test_killed_the_parent_takes_them_along(tmp_path: Path) -> None:
    """It holds the folder's lock: they must not write there once another run may."""
    script, ids = tmp_path / "orphan.py", tmp_path / "ids"
    script.write_text(ORPHAN)
    ids.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(ids)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(ids.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    children = [int(path.name) for path in ids.iterdir()]
    assert len(children) == 2
    deadline = time.monotonic() + 10
    while any(is_running(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(child) for child in children)


def is_running(process: int) -> bool:
    """A zombie that nobody has waited for yet is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
