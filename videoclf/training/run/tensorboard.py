"""Curves for TensorBoard, beside those of ``log.csv``; needs the extra ``tensorboard``."""

from __future__ import annotations

from pathlib import Path

from videoclf.epoch_record import EpochRecord
from videoclf.errors import DeviceUnavailableError
from videoclf.option_names import option
from videoclf.progress import Progress


class TensorBoardProgress:
    """Hands everything on, and writes each epoch's figures.

    Args:
        progress: is told.
        folder: gets the event files; it is made with the first epoch.

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
        """Hands it on."""
        self._progress.stage(name, total)

    def advance(self) -> None:
        """Hands it on."""
        self._progress.advance()

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """Hands it on."""
        self._progress.step(loss=loss, top1=top1, waiting_share=waiting_share)

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Writes its figures, by the names they have in ``log.csv``, and hands it on."""
        with self._make_writer(str(self._folder)) as writer:
            for name, value in record.model_dump(exclude={"epoch"}).items():
                writer.add_scalar(name, value, record.epoch)
        self._progress.epoch(record, is_best=is_best)

    def notice(self, text: str) -> None:
        """Hands it on."""
        self._progress.notice(text)
