"""``report.html``: the figures of a run or an evaluation, in one file that needs nothing else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict

from videoclf.atomic import write_atomically
from videoclf.evaluation.metrics import ClassMetrics, Metrics

MAX_MISTAKES = 20
MAX_MESSAGES = 50
"""Notes, and clips that failed: of thousands, the first tell what is wrong."""
MAX_IN_LABEL_ORDER = 20
"""More classes than can be looked over are sorted by recall."""
MAX_NUMBERED = 40
"""Up to so many classes, the matrix shows its counts; beyond, they are read by pointing at a cell."""


class EpochRecord(BaseModel):
    """One pass over the training clips."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Mean cross-entropy of the training clips as they were trained on (augmented, dropout on), in nats."""
    train_top1: float = 0.0
    """Share of these clips whose likeliest class was right (of mixed clips, the class of the larger share)."""
    validation_loss: float
    """Mean negative log-likelihood of the validation clips, in nats."""
    validation_top1: float
    learning_rate: float
    """At the epoch's end."""
    seconds: float
    """Training and validation."""
    clips_per_second: float = 0.0
    """Of the training part."""
    waiting_share: float = 0.0
    """Of the training part's time: how much of it the network waited for clips to be read, or for their features."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """The clips of one class that were called one class, where there are any."""

    true: int
    """Index of the class, as `called`."""
    called: int
    num_clips: int
    num_in_class: int
    """Clips of the true class."""

    @property
    def share(self) -> float:
        """Of the true class's clips, in (0, 1]."""
        return self.num_clips / self.num_in_class


def write_report(
    path: Path,
    *,
    title: str,
    metrics: Metrics,
    epochs: Sequence[EpochRecord] = (),
    notes: Sequence[str] = (),
    recipe_toml: str = "",
) -> None:
    """Write the report.

    Args:
        path: the file.
        title: its heading.
        metrics: of the clips that judge.
        epochs: of a training run, for the curves.
        notes: sentences under the heading: where the data came from, what was left out. The first `MAX_MESSAGES`.
        recipe_toml: shown at the end, if given.

    Raises:
        RunFolderUnusable: the file cannot be written.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        files("videoclf.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    cells = _cells(metrics.confusion)
    mistakes = sorted((cell for cell in cells if cell.true != cell.called), key=lambda c: (-c.num_clips, -c.share))
    html = template.render(
        title=title,
        metrics=metrics,
        notes=notes,
        recipe_toml=recipe_toml,
        curves_svg=_curves(epochs) if epochs else "",
        reliability_svg=_reliability(metrics) if metrics.reliability else "",
        labels=list(metrics.per_class),
        rows=_rows(metrics),
        weakest_first=len(metrics.per_class) > MAX_IN_LABEL_ORDER,
        right=[cell for cell in cells if cell.true == cell.called],
        mistakes=mistakes,
        side_px=_side_px(metrics.confusion),
        numbered=len(metrics.per_class) <= MAX_NUMBERED,
        max_mistakes=MAX_MISTAKES,
        max_messages=MAX_MESSAGES,
    )
    write_atomically(path, html.encode("utf-8", "backslashreplace"))  # file names may be no UTF-8


def _curves(epochs: Sequence[EpochRecord]) -> str:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    x = [record.epoch for record in epochs]
    losses.plot(x, [record.train_loss for record in epochs], label="training", marker=".")
    losses.plot(x, [record.validation_loss for record in epochs], label="validation", marker=".")
    losses.set(xlabel="epoch", ylabel="loss (nats)")
    losses.legend()
    accuracy.plot(x, [record.validation_top1 for record in epochs], color="C1", marker=".")
    accuracy.set(xlabel="epoch", ylabel="validation top-1", ylim=(0, 1.02))
    return _svg(figure)


def _reliability(metrics: Metrics) -> str:
    """A disc for each bin of scores, its area the number of clips; on the diagonal, scores mean what they say."""
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="--")
    most = max(each.num_clips for each in metrics.reliability)
    for each in metrics.reliability:
        axes.plot(
            each.mean_score, each.share_right, "o", color="C0", markersize=4 + 10 * (each.num_clips / most) ** 0.5
        )
    axes.set(xlabel="score of the likeliest class", ylabel="share right", xlim=(0, 1.04), ylim=(-0.04, 1.06))
    return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none"}):  # text stays text, which the browser draws: smaller
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _cells(confusion: Sequence[Sequence[int]]) -> list[_Cell]:
    return [
        _Cell(true, called, num_clips, num_in_class)
        for true, (row, num_in_class) in enumerate(zip(confusion, map(sum, confusion), strict=True))
        for called, num_clips in enumerate(row)
        if num_clips
    ]


def _side_px(confusion: Sequence[Sequence[int]]) -> int:
    """Side of a cell: room for its number up to `MAX_NUMBERED` classes, for a label's line beyond. (Of 8 pt, a line is
    about 13 px high, a digit 7 px wide.)"""
    if len(confusion) > MAX_NUMBERED:
        return 14
    num_digits = len(str(max(map(max, confusion))))
    return max(32 if len(confusion) <= 16 else 22, 8 + 7 * num_digits)


def _rows(metrics: Metrics) -> list[tuple[str, ClassMetrics]]:
    """The classes in label order; of many the weakest first, and those without a clip last."""
    rows = list(metrics.per_class.items())
    if len(rows) > MAX_IN_LABEL_ORDER:
        rows.sort(key=lambda row: (row[1].num_clips == 0, row[1].recall))
    return rows
