from __future__ import annotations

import sys
from pathlib import Path

import pytest

from videoclf.epoch_record import EpochRecord
from videoclf.errors import DeviceUnavailableError
from videoclf.progress import SilentProgress
from videoclf.training.run.tensorboard import TensorBoardProgress


@pytest.mark.filterwarnings("ignore")  # TensorBoard's own
def test_each_epochs_figures_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    progress = TensorBoardProgress(SilentProgress(), tmp_path)
    for epoch in (1, 2):
        progress.epoch(
            EpochRecord(
                epoch=epoch, train_loss=1 / epoch, validation_loss=1, validation_top1=0, learning_rate=1, seconds=1
            ),
            is_best=False,
        )
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_loss")] == [(1, 1.0), (2, 0.5)]


def test_without_tensorboard_a_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(DeviceUnavailableError, match=r"pip install 'videoclf\[tensorboard\]'"):
        TensorBoardProgress(SilentProgress(), tmp_path)
