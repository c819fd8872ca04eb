"""Writes curves for TensorBoard, in addition to ``log.csv``; needs the extra ``tensorboard``."""

from __future__ import annotations

from pathlib import Path

from videoclf.epoch_record import EpochRecord
from videoclf.errors import DeviceUnavailableError
from videoclf.option_names import option
from videoclf.progress import Progress


class TensorBoardProgress:
    """Passes everything on, and writes each epoch's figures.

    Args:
        progress: receives everything.
        folder: for the event files; it is created at the first epoch.

    Raises:
        DeviceUnavailableError: TensorBoard is not installed.
    """

    def __init__(self, progress: Progress, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise DeviceUnavailableError(
                "TensorBoard is not installed", source=option("tensorboard"), hint="pip install 'videoclf[tensorboard]'"
            ) from error
        self._make_writer = SummaryWriter
        self._progress = progress
        self._folder = folder

    def stage(self, name: str, total: int) -> None:
        """Pass it on."""
        self._progress.stage(name, total)

    def advance(self) -> None:
        """Pass it on."""
        self._progress.advance()

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """Pass it on."""
        self._progress.step(loss=loss, top1=top1, waiting_share=waiting_share)

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Write its figures, under their names in ``log.csv``, and pass it on."""
        with self._make_writer(str(self._folder)) as writer:
            for name, value in record.model_dump(exclude={"epoch"}).items():
                writer.add_scalar(name, value, record.epoch)
        self._progress.epoch(record, is_best=is_best)

    def notice(self, text: str) -> None:
        """Pass it on."""
        self._progress.notice(text)
