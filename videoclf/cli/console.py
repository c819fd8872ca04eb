"""The output of the command line: results on standard output, everything else on standard error."""

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
    """Standard output. If it is not a terminal, tables are as wide as they need to be."""
    from videoclf.cli.plain_console import PlainConsole

    return PlainConsole(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)


@functools.cache
def messages() -> Console:
    """Standard error."""
    from videoclf.cli.plain_console import PlainConsole

    return PlainConsole(stderr=True, highlight=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print on standard output. What is too wide for a terminal continues on the next line; nothing is truncated."""
    for column in table.columns:
        column.overflow = "fold"  # rich would cut a long word, and names may differ at their ends only
    output().print(table, soft_wrap=False)


def print_error(text: str) -> None:
    """Print one line on standard error, in red if there are colours."""
    messages().print(f"error: {text}", style="red")


def print_notice(text: str) -> None:
    """Print one line on standard error, in yellow if there are colours."""
    messages().print(f"note: {text}", style="yellow")


def print_result(text: str) -> None:
    """Print one line on standard output, unbuffered."""
    sys.stdout.write(f"{printable(text)}\n")
    sys.stdout.flush()


class ProgressBar:
    """A progress bar on standard error if that is a terminal, otherwise nothing. A context manager."""

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
        """Start a new bar in place of the previous one; a total of None or 0 means unknown."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(printable(description), total=total or None, figures="")

    def advance(self) -> None:
        """Advance the bar by one."""
        if self._task is not None:
            self._progress.advance(self._task)

    def show(self, figures: str) -> None:
        """Show a short text beside the bar."""
        if self._task is not None:
            self._progress.update(self._task, figures=printable(figures))


class ProgressDisplay(ProgressBar):
    """Shows the progress of a call; see `videoclf.progress.Progress`."""

    def stage(self, name: str, total: int) -> None:
        """Start a bar for the stage."""
        self.start(name, total)

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        """Show metrics beside the bar."""
        self.show(f"loss {loss:.3f}  top-1 {top1:.3f}  {waiting_share:.0%} waiting for clips")

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        """Print one line for each epoch."""
        messages().print(
            f"epoch {record.epoch:3}  loss {record.train_loss:.3f}  validation loss {record.validation_loss:.3f}  "
            f"top-1 {record.validation_top1:.3f}  {record.seconds:.1f} s  {record.clips_per_second:.0f} clips/s"
            f"{'  best so far' if is_best else ''}"
        )

    def notice(self, text: str) -> None:
        """Print one line."""
        print_notice(text)


def print_metrics(metrics: Metrics, title: str) -> None:
    """Print a table of the classes and a line of metrics on standard output."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for column in ("clips", "correct", "precision", "recall"):
        table.add_column(column, justify="right")
    for label, row in metrics.per_class.items():
        table.add_row(label, str(row.num_clips), str(row.num_correct), f"{row.precision:.2f}", f"{row.recall:.2f}")
    print_table(table)
    print_result(describe_figures(metrics))


def describe_figures(metrics: Metrics) -> str:
    """The metrics of a set of clips in one line."""
    precision = metrics.mean_average_precision
    mean_precision = "" if precision is None else f" · mean average precision {precision:.3f}"
    failed = f" · {metrics.num_failed} clips failed" if metrics.num_failed else ""
    return (
        f"top-1 {metrics.top1:.3f} ({metrics.num_correct} of {metrics.num_clips}) · top-5 {metrics.top5:.3f} · "
        f"mean per-class accuracy {metrics.mean_class_accuracy:.3f} · calibration error {metrics.ece:.3f}"
        f"{mean_precision}{failed}"
    )
