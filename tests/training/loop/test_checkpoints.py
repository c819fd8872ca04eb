from __future__ import annotations

from pathlib import Path

import pytest
import torch

from videoclf.data.dataset import LabelledClip
from videoclf.errors import RunFolderUnusableError
from videoclf.progress import SilentProgress
from videoclf.training.examples.decoded import Quarantine
from videoclf.training.loop.checkpoints import Checkpoints, has_checkpoint

CLIP = LabelledClip(Path("a.avi"), "walk", None)


class Kept:
    """Checkpoints in a folder, their quarantine and what they said."""

    def __init__(self, folder: Path, interval_seconds: float = 0, threads: str = "2") -> None:
        self.notes: list[str] = []
        self.quarantine = Quarantine(SilentProgress())
        environment = {"num_torch_threads": threads}
        self.checkpoints = Checkpoints(folder, self.quarantine, environment, self.notes.append, interval_seconds)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.quarantine.add(CLIP, "a.avi: broken")
    kept.checkpoints.save({"weights": {"w": torch.arange(3.0)}, "place": {"epoch": 2}, "best": (1, float("inf"))})
    again = Kept(tmp_path)
    state = again.checkpoints.load([CLIP])
    assert state is not None
    assert torch.equal(state["weights"]["w"], torch.arange(3.0))
    assert state["place"] == {"epoch": 2}
    assert again.quarantine.reasons == {CLIP: "a.avi: broken"}
    assert again.notes == []


def test_where_there_is_none_there_is_nothing_to_load(tmp_path: Path) -> None:
    assert Kept(tmp_path).checkpoints.load([]) is None
    assert not has_checkpoint(tmp_path)


def test_of_a_torn_checkpoint_the_one_before_is_taken(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for number in range(3):
        kept.checkpoints.save({"number": number})
    tear(tmp_path / "checkpoint.pt")
    assert kept.checkpoints.load([]) == {"number": 1}
    (note,) = kept.notes
    assert "checkpoint.pt: is incomplete; the run continues from the checkpoint before it" in note
    tear(tmp_path / "checkpoint-before.pt")
    assert kept.checkpoints.load([]) is None


def test_where_the_disk_is_full_the_last_good_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)
    kept.checkpoints.save({"number": 0})

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for _ in range(2):
        with pytest.raises(
            RunFolderUnusableError, match=r"checkpoint.pt: cannot be written \(No space left on device\)"
        ):
            kept.checkpoints.save({"number": 1})
    assert kept.checkpoints.load([]) == {"number": 0}


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path)
    monkeypatch.setattr("videoclf.training.loop.checkpoints.FORMAT_VERSION", 9)
    kept.checkpoints.save({})
    monkeypatch.undo()
    with pytest.raises(RunFolderUnusableError, match="has format 9, this version reads 2; resume with the version"):
        kept.checkpoints.load([])


def test_another_number_of_threads_is_told(tmp_path: Path) -> None:
    Kept(tmp_path).checkpoints.save({})
    other = Kept(tmp_path, threads="1")
    other.checkpoints.load([])
    assert other.notes == ["num_torch_threads was 2, is 1: weights will differ from those of an uninterrupted run"]


def test_between_two_checkpoints_some_time_passes(tmp_path: Path) -> None:
    Kept(tmp_path, interval_seconds=60).checkpoints.save_if_due(lambda: {})
    assert not has_checkpoint(tmp_path)
    kept = Kept(tmp_path)
    kept.checkpoints.save_if_due(lambda: {})
    assert has_checkpoint(tmp_path)
    kept.checkpoints.remove()
    assert not has_checkpoint(tmp_path)
