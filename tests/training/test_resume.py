"""Runs that are interrupted, killed and resumed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

import videoclf
from tests.conftest import write_clip
from videoclf.errors import DatasetInvalidError, RunFolderUnusableError, VideoclfError
from videoclf.progress import SilentProgress
from videoclf.training.examples.decoded import Quarantine
from videoclf.training.loop.checkpoints import Checkpoints
from videoclf.training.run.interruption import Interrupted

pytestmark = pytest.mark.usefixtures("without_reports")

TRAINED = ("training.epochs=3", "sampling.fps=4", "training.batch_size=2", "temporal.dropout=0.2")
FROZEN = (
    *TRAINED, "backbone.frozen=true", "training.refit=true", "training.checkpoint_choice=last", "head.ridge=true",
)  # fmt: skip
SPLIT = "leave-out:g04"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in four groups."""
    folder = tmp_path_factory.mktemp("resumed")
    for label in ("Long", "Short"):
        (folder / label).mkdir()
        for group in range(1, 5):
            num_frames = 20 + group if label == "Long" else 5 + group
            write_clip(folder / label / f"v_{label}_g{group:02}_c01.avi", num_frames, first_number=64 * group)
    return folder


class Stopping(SilentProgress):
    """Sends a signal to this process after so many clips."""

    def __init__(self, after_clips: int) -> None:
        self._left = after_clips
        self.notes: list[str] = []

    def advance(self) -> None:
        self._left -= 1
        if self._left == 0:
            signal.raise_signal(signal.SIGTERM)

    def notice(self, text: str) -> None:
        self.notes.append(text)


def train(data: Path, out: Path, overrides: tuple[str, ...], **more: object) -> bytes:
    videoclf.train(data, out=out, recipe="tiny", overrides=overrides, split=SPLIT, device="cpu", **more)  # type: ignore[arg-type]
    return (out / "model.safetensors").read_bytes()


@pytest.mark.parametrize("overrides", [TRAINED, FROZEN], ids=["trained whole", "frozen, refitted"])
@pytest.mark.parametrize(
    ("interruptions", "least_stops"), [((1, 11, 16, 26), 4), pytest.param(range(1, 60, 5), 5, marks=pytest.mark.slow)]
)
def test_interrupted_anywhere_and_resumed_the_same_model_comes_out(
    data: Path, tmp_path: Path, overrides: tuple[str, ...], interruptions: Sequence[int], least_stops: int
) -> None:
    undisturbed = train(data, tmp_path / "a" / "run", overrides)
    num_stops = 0
    for after_clips in interruptions:
        out = tmp_path / str(after_clips) / "run"
        try:
            train(data, out, overrides, progress=Stopping(after_clips))
        except Interrupted:
            num_stops += 1
            assert train(data, out, overrides, resume=True) == undisturbed
        assert not list(out.glob("*.pt"))
    assert num_stops >= least_stops


def test_a_run_that_is_not_finished_is_left_alone_unless_asked(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(data, tmp_path, TRAINED, progress=Stopping(9))
    assert (tmp_path / "checkpoint.pt").exists()
    with pytest.raises(
        RunFolderUnusableError, match="contains an unfinished run; resume=True continues it, overwrite=True"
    ):
        train(data, tmp_path, TRAINED)
    train(data, tmp_path, TRAINED, overwrite=True)


def test_of_a_finished_run_nothing_is_left_to_do(data: Path, tmp_path: Path) -> None:
    model = train(data, tmp_path, TRAINED)
    notes = Stopping(0)
    assert train(data, tmp_path, TRAINED, resume=True, progress=notes) == model
    assert notes.notes == [f"{tmp_path}: the run is finished; nothing is left to do"]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train(data, folder, (*TRAINED, "training.epochs=1"))
    return folder


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (
            {"recipe": "tiny", "overrides": [*TRAINED, "training.epochs=9"]},
            "now (training.epochs is 1, not 9); choose",
        ),
        (
            {"recipe": "resnet18-gru"},
            "the run is finished, but with another recipe than the one requested now (",
        ),
        ({"split": "leave-out:g03"}, "the run started with other clips or labels, or another split"),
        ({"init": "actions16"}, "the run is finished, but with another recipe"),
        ({"overwrite": True}, "resume=True and overwrite=True exclude each other; use only one of them"),
    ],
    ids=["setting", "recipe", "split", "init", "overwrite"],
)
def test_of_a_finished_run_nothing_else_can_be_had(
    data: Path, finished: Path, asked: dict[str, object], complaint: str
) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(VideoclfError) as caught:
        videoclf.train(data, out=finished, resume=True, **{"split": SPLIT} | asked)  # type: ignore[arg-type]
    assert complaint in str(caught.value)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_of_a_finished_run_other_clips_cannot_be_had(data: Path, finished: Path, tmp_path: Path) -> None:
    other = shutil.copytree(data, tmp_path / "other")
    with pytest.raises(RunFolderUnusableError, match="the run started with other clips or labels"):
        videoclf.train(other, out=finished, resume=True, split=SPLIT)
    assert videoclf.train(data, out=finished, resume=True, split=SPLIT).folder == finished


def test_where_there_is_no_run_resuming_begins_one(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "new", TRAINED, resume=True)


def test_the_runs_own_recipe_wins(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(data, tmp_path, TRAINED, progress=Stopping(9))
    notes = Stopping(0)
    train(data, tmp_path, (*TRAINED, "training.epochs=1"), resume=True, progress=notes)
    own = f"{tmp_path / 'recipe.toml'}: the run continues with its own recipe, not with the one requested now"
    assert f"{own} (training.epochs is 3, not 1)" in notes.notes
    assert json.loads((tmp_path / "metrics.json").read_text())["num_epochs"] == 3


def test_other_clips_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(data, tmp_path, TRAINED, progress=Stopping(9))
    with pytest.raises(RunFolderUnusableError, match="the run started with other clips or labels, or another split"):
        videoclf.train(data, out=tmp_path, split="leave-out:g03", resume=True)


def test_other_weights_to_begin_with_are_refused(data: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "first", TRAINED)
    with pytest.raises(Interrupted):
        train(data, tmp_path / "run", FROZEN, progress=Stopping(19), init=tmp_path / "first")
    with pytest.raises(RunFolderUnusableError, match="the run started from other weights .*; give the same init"):
        train(data, tmp_path / "run", FROZEN, resume=True)
    assert train(data, tmp_path / "run", FROZEN, resume=True, init=tmp_path / "first")


def test_other_labels_are_refused(data: Path, tmp_path: Path) -> None:
    clips = sorted(data.glob("*/*.avi"))
    listed = tmp_path / "clips.csv"
    listed.write_text("".join(f"{path},{path.parent.name}\n" for path in clips))
    with pytest.raises(Interrupted):
        train(listed, tmp_path / "run", TRAINED, progress=Stopping(9))
    listed.write_text("".join(f"{path},{'Short' if path.parent.name == 'Long' else 'Long'}\n" for path in clips))
    with pytest.raises(RunFolderUnusableError, match="the run started with other clips or labels"):
        train(listed, tmp_path / "run", TRAINED, resume=True)


def test_a_torn_checkpoint_costs_the_steps_since_the_one_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(data, tmp_path / "a" / "run", TRAINED)
    out = tmp_path / "b" / "run"
    with pytest.raises(Interrupted):
        train(data, out, TRAINED, progress=Stopping(20), checkpoint_seconds=0)
    newest = out / "checkpoint.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    notes = Stopping(0)
    assert train(data, out, TRAINED, resume=True, progress=notes) == undisturbed
    assert any("is incomplete" in note for note in notes.notes)


def test_a_full_disk_ends_the_run_with_a_line_and_keeps_the_last_state(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = train(data, tmp_path / "a" / "run", TRAINED)
    save = Checkpoints.save
    num_saved: list[int] = []

    def fill_up(self: Checkpoints, state: dict[str, object]) -> None:
        num_saved.append(1)
        if len(num_saved) > 4:
            raise RunFolderUnusableError("checkpoint.pt: cannot be written (No space left on device)")
        save(self, state)

    monkeypatch.setattr(Checkpoints, "save", fill_up)
    out = tmp_path / "b" / "run"
    with pytest.raises(RunFolderUnusableError, match="No space left"):
        train(data, out, TRAINED, checkpoint_seconds=0)
    monkeypatch.undo()
    assert train(data, out, TRAINED, resume=True) == undisturbed


def test_too_many_unreadable_clips_end_the_run(tmp_path: Path) -> None:
    for label in ("Long", "Short"):
        for group in range(1, 15):
            path = tmp_path / "data" / label / f"v_{label}_g{group:02}_c01.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"RIFF....AVI broken")
    with pytest.raises(DatasetInvalidError, match="11 of 28 clips could not be read, more than 5%"):
        videoclf.train(tmp_path / "data", out=tmp_path / "run", recipe="tiny", allow_leaks=True)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # twelve starts of the command: on a busy machine each takes half a minute
def test_killed_at_ten_random_moments_a_run_ends_with_the_same_model(data: Path, tmp_path: Path) -> None:
    """SIGKILL, through the command line; what was in the folder at that moment is all that is left."""
    command = [sys.executable, "-m", "videoclf", "train", str(data), "--recipe", "tiny", "--split", SPLIT]
    command += ["--checkpoint-seconds", "0", "--device", "cpu"]
    for override in (*TRAINED, "training.epochs=150", "training.patience=150"):
        command += ["--set", override]
    subprocess.run([*command, "--out", str(tmp_path / "a" / "run")], check=True, capture_output=True)
    out = tmp_path / "b" / "run"
    rng = random.Random(0)
    num_steps: list[int] = []
    for _ in range(10):
        begun = time.time()
        process = subprocess.Popen(
            [*command, "--out", str(out), "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and newest_change(out) < begun:  # a step of its own, at least
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        num_steps.append(steps_kept(out))
    subprocess.run([*command, "--out", str(out), "--resume"], check=True, capture_output=True)
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "a" / "run" / "model.safetensors").read_bytes()
    sys.stdout.write(
        f"\nkilled {len(num_steps)} times, with {', '.join(map(str, num_steps))} steps of 300 kept: the same model\n"
    )


def steps_kept(folder: Path) -> int:
    """How many steps the newest whole checkpoint there has behind it."""
    state = Checkpoints(folder, Quarantine(SilentProgress()), {}, lambda _: None).load([])
    assert state is not None
    steps: int = state["trainer"]["place"]["num_steps"]
    return steps


def newest_change(folder: Path) -> float:
    """When a checkpoint was last written there, or being written; 0 where none was."""
    return max((path.stat().st_mtime for path in folder.glob("*checkpoint*") if path.exists()), default=0)


def test_a_run_goes_on_with_its_parts_elsewhere(data: Path, tmp_path: Path) -> None:
    unbroken, out = train(data, tmp_path / "unbroken" / "run", TRAINED), tmp_path / "stopped" / "run"
    with pytest.raises(Interrupted):
        train(data, out, TRAINED, progress=Stopping(14))
    run = videoclf.train(data, out=out, split=SPLIT, resume=True, device_map="backbone[:2]=cpu:0,backbone[2:]=cpu:1")
    torch.testing.assert_close(load(run.model_path.read_bytes()), load(unbroken), atol=1e-5, rtol=1e-5)
