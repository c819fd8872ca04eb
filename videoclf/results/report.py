"""Writes ``report.html``: the results of a run or an evaluation, in a single file that loads nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from videoclf.data.dataset import LabelledClip
from videoclf.epoch_record import EpochRecord
from videoclf.evaluation.clip_results import ClipResult, lowest_confidence, most_confident_errors
from videoclf.evaluation.learning_curve import LearningCurve
from videoclf.evaluation.metrics import ClassMetrics, Metrics
from videoclf.files import write_atomically
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.thumbnail import data_uri, middle_thumbnail
from videoclf.results.page import render, svg

MAX_CONFUSIONS = 20
MAX_CLIPS_SHOWN = 12
"""Of the most confident errors, and of the lowest-confidence clips: 24 thumbnails of some 4 kB."""
_THUMBNAIL_LONG_SIDE_PX = 160
MAX_MESSAGES = 50
"""Of notes, and of failed clips: of thousands, the first ones show what is wrong."""
MAX_IN_LABEL_ORDER = 20
"""More classes than this are sorted by recall."""
MAX_NUMBERED = 40
"""Up to this number of classes, the confusion matrix shows counts; with more, only a cell's tooltip does."""


@dataclass(frozen=True)
class _Part:
    """A row of the table of the dataset's parts."""

    name: str
    num_clips: int
    num_groups: int
    """0 if the clips have no groups."""
    num_classes: int
    clips_per_class: str
    """From the smallest class to the largest."""

    @classmethod
    def of(cls, name: str, clips: Sequence[LabelledClip]) -> _Part:
        sizes = Counter(clip.label for clip in clips).values()
        groups = {clip.group for clip in clips} - {None}
        span = f"{min(sizes)}" if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
        return cls(name, len(clips), len(groups), len(sizes), span)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A non-zero cell of the confusion matrix: clips of one class that were predicted as one class."""

    true: int
    """The index of the true class."""
    predicted: int
    """The index of the predicted class."""
    num_clips: int
    num_in_class: int
    """The number of clips of the true class."""

    @property
    def share(self) -> float:
        """The share of the true class's clips, in (0, 1]."""
        return self.num_clips / self.num_in_class


def write_report(
    path: Path,
    *,
    title: str,
    metrics: Metrics,
    epochs: Sequence[EpochRecord] = (),
    clips: Sequence[ClipResult] = (),
    parts: Mapping[str, Sequence[LabelledClip]] | None = None,
    notes: Sequence[str] = (),
    bottleneck: str = "",
    learning_curve: LearningCurve | None = None,
    environment: Mapping[str, str] | None = None,
    recipe_toml: str = "",
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
) -> None:
    """Write the report.

    Args:
        path: the file.
        title: its heading.
        metrics: of the evaluated clips.
        epochs: of a training run, for the curves.
        clips: the evaluated clips. The most confident errors and the lowest-confidence clips are shown with thumbnails.
        parts: clips by the name of their part, such as train, validation and test. Empty parts are omitted.
        notes: sentences below the heading: the dataset, what was left out. At most `MAX_MESSAGES` are shown.
        learning_curve: shown with what it says of the dataset.
        bottleneck: one line below the metrics about what limited the speed of the run.
        environment: see `videoclf.results.environment.describe_environment`.
        recipe_toml: shown at the end, if given.
        reading: how clips are decoded for their thumbnails.

    Raises:
        RunFolderUnusableError: the file cannot be written.
    """
    cells = _cells(metrics.confusion)
    confusions = sorted((cell for cell in cells if cell.true != cell.predicted), key=lambda c: (-c.num_clips, -c.share))
    confident_errors = most_confident_errors(clips, MAX_CLIPS_SHOWN)
    uncertain_clips = lowest_confidence(clips, MAX_CLIPS_SHOWN)
    html = render(
        "report.html.j2",
        title=title,
        metrics=metrics,
        parts=[_Part.of(name, part) for name, part in (parts or {}).items() if part],
        confident_errors=confident_errors,
        uncertain_clips=uncertain_clips,
        thumbnails=_thumbnails({clip.source for clip in (*confident_errors, *uncertain_clips)}, reading),
        notes=notes,
        bottleneck=bottleneck,
        environment=environment or {},
        recipe_toml=recipe_toml,
        learning_curve=learning_curve,
        learning_curve_svg=_learning_curve(learning_curve) if learning_curve else "",
        curves_svg=_curves(epochs) if epochs else "",
        reliability_svg=_reliability(metrics) if metrics.reliability else "",
        labels=list(metrics.per_class),
        rows=_rows(metrics),
        weakest_first=len(metrics.per_class) > MAX_IN_LABEL_ORDER,
        correct=[cell for cell in cells if cell.true == cell.predicted],
        confusions=confusions,
        side_px=_side_px(metrics.confusion),
        numbered=len(metrics.per_class) <= MAX_NUMBERED,
        max_confusions=MAX_CONFUSIONS,
        max_messages=MAX_MESSAGES,
    )
    write_atomically(path, html)


def _thumbnails(sources: Iterable[str], reading: ReadOptions) -> dict[str, str]:
    """A data URI of a thumbnail of each clip; empty if the clip gives no frames."""
    return {
        source: data_uri(middle_thumbnail(Path(source), reading, long_side_px=_THUMBNAIL_LONG_SIDE_PX))
        for source in sources
    }


def _curves(epochs: Sequence[EpochRecord]) -> str:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    x = [record.epoch for record in epochs]
    losses.plot(x, [record.train_loss for record in epochs], label="training", marker=".")
    losses.plot(x, [record.validation_loss for record in epochs], label="validation", marker=".")
    losses.set(ylabel="loss (nats)")
    accuracy.plot(x, [record.train_top1 for record in epochs], label="training", marker=".")
    accuracy.plot(x, [record.validation_top1 for record in epochs], label="validation", marker=".")
    accuracy.set(ylabel="top-1 accuracy", ylim=(0, 1.02))
    for axes in (losses, accuracy):
        axes.set(xlabel="epoch", xlim=(0.8, len(epochs) + 0.2))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no epoch 1.25
        axes.legend()
    return svg(figure)


def _learning_curve(curve: LearningCurve) -> str:
    figure = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = figure.subplots()
    sizes = [point.num_clips_per_class for point in curve.points]
    axes.plot(sizes, [point.top1 for point in curve.points], marker=".")
    axes.set(xlabel="clips of each class", ylabel="accuracy of the linear probe", xscale="log", ylim=(0, 1.02))
    axes.set_xticks(sizes, labels=list(map(str, sizes)))
    axes.minorticks_off()
    return svg(figure)


def _reliability(metrics: Metrics) -> str:
    """The reliability diagram: a disc for each bin of scores; its area shows the number of clips."""
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="--")
    most = max(each.num_clips for each in metrics.reliability)
    for each in metrics.reliability:
        axes.plot(each.mean_score, each.accuracy, "o", color="C0", markersize=4 + 10 * (each.num_clips / most) ** 0.5)
    axes.set(xlabel="score of the predicted class", ylabel="accuracy", xlim=(0, 1.04), ylim=(-0.04, 1.06))
    return svg(figure)


def _cells(confusion: Sequence[Sequence[int]]) -> list[_Cell]:
    return [
        _Cell(true, predicted, num_clips, num_in_class)
        for true, (row, num_in_class) in enumerate(zip(confusion, map(sum, confusion), strict=True))
        for predicted, num_clips in enumerate(row)
        if num_clips
    ]


def _side_px(confusion: Sequence[Sequence[int]]) -> int:
    """Side of a cell: room for its number up to `MAX_NUMBERED` classes, for a label's line beyond. (Of 8 pt, a label is
    about 11 px high, a digit 7 px wide; at 12, the 101 classes of UCF101 fit a window of 1400 px.)"""
    if len(confusion) > MAX_NUMBERED:
        return 12
    num_digits = len(str(max(map(max, confusion))))
    return max(32 if len(confusion) <= 16 else 22, 8 + 7 * num_digits)


def _rows(metrics: Metrics) -> list[tuple[str, ClassMetrics]]:
    """The classes in label order; if there are many, lowest recall first, and those without clips last."""
    rows = list(metrics.per_class.items())
    if len(rows) > MAX_IN_LABEL_ORDER:
        rows.sort(key=lambda row: (row[1].num_clips == 0, row[1].recall))
    return rows
