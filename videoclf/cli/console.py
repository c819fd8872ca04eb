"""Where the command line writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import functools
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from videoclf.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

    from videoclf.epoch_record import EpochRecord
    from videoclf.evaluation.metrics import Metrics

_UNLIMITED_WIDTH = 100_000
"""In characters. rich takes 80 where there is no terminal, and a long class name would lose its end."""


@functools.cache
def output() -> Console:
    """Standard output; tables are as wide as they need to be where it is no terminal."""
    from videoclf.cli.plain_console import PlainConsole

    return PlainConsole(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)


@functools.cache
def messages() -> Console:
    """Standard error."""
    from videoclf.cli.plain_console import PlainConsole

    return PlainConsole(stderr=True, highlight=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """On standard output; on a terminal, what is too wide for it goes on in the next line: nothing is cut off."""
    for column in table.columns:
        column.overflow = "fold"  # rich would cut a long word, and names may differ at their ends only
    output().print(table, soft_wrap=False)


def print_error(text: str) -> None:
    """One line on standard error, in red where there are colours."""
    messages().print(f"error: {text}", style="red")


def print_notice(text: str) -> None:
    """One line on standard error, in yellow where there are colours."""
    messages().print(f"note: {text}", style="yellow")


def print_result(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


class ProgressBar:
    """A bar on standard error while it is a terminal, nothing otherwise. Use it as a context manager."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
        from rich.progress import TimeRemainingColumn as Remaining

        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False), TimeElapsedColumn(), Remaining(),
            console=messages(), transient=True, disable=not messages().is_terminal,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._progress.stop()

    def start(self, description: str, total: int | None) -> None:
        """Begin a new bar in place of the one before; a total of None or 0 is unknown."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(printable(description), total=total or None, figures="")

    def advance(self) -> None:
        """One more is done."""
        if self._task is not None:
            self._progress.advance(self._task)

    def show(self, figures: str) -> None:
        """A few words beside the bar."""
        if self._task is not None:
            self._progress.update(self._task, figures=printable(figures))


class ProgressDisplay(ProgressBar):
    """Draws a call's progress; see `videoclf.progress.Progress`."""

    def stage(self, name: str, total: int) -> None:
        """A bar for the stage."""
        self.start(name, total)

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """Figures beside the bar."""
        self.show(f"loss {loss:.3f}  top-1 {top1:.3f}  {waiting_share:.0%} waiting for clips")

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """One line an epoch."""
        messages().print(
            f"epoch {record.epoch:3}  loss {record.train_loss:.3f}  validation loss {record.validation_loss:.3f}  "
            f"top-1 {record.validation_top1:.3f}  {record.seconds:.1f} s  {record.clips_per_second:.0f} clips/s"
            f"{'  best so far' if is_best else ''}"
        )

    def notice(self, text: str) -> None:
        """One line."""
        print_notice(text)


def print_metrics(metrics: Metrics, title: str) -> None:
    """Figures and a line a class, on standard output."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in ("clips", "right", "precision", "recall"):
        table.add_column(column, justify="right")
    for label, row in metrics.per_class.items():
        table.add_row(label, str(row.num_clips), str(row.num_right), f"{row.precision:.2f}", f"{row.recall:.2f}")
    print_table(table)
    print_result(describe_figures(metrics))


def describe_figures(metrics: Metrics) -> str:
    """The figures of a set of clips in one line."""
    precision = metrics.mean_average_precision
    mean_precision = "" if precision is None else f" · mean average precision {precision:.3f}"
    failed = f" · {metrics.num_failed} clips failed" if metrics.num_failed else ""
    return (
        f"top-1 {metrics.top1:.3f} ({metrics.num_right} of {metrics.num_clips}) · top-5 {metrics.top5:.3f} · "
        f"mean over classes {metrics.mean_class_accuracy:.3f} · calibration error {metrics.ece:.3f}"
        f"{mean_precision}{failed}"
    )
