"""``report.html``: the figures of a run or an evaluation, in one file that needs nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from videoclf.data.dataset import LabelledClip
from videoclf.epoch_record import EpochRecord
from videoclf.evaluation.clip_results import JudgedClip, least_sure, surest_mistakes
from videoclf.evaluation.metrics import ClassMetrics, Metrics
from videoclf.files import write_atomically
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.thumbnail import data_uri, middle_thumbnail
from videoclf.results.page import render, svg

MAX_MISTAKES = 20
MAX_CLIPS_SHOWN = 12
"""Of the surest mistakes, and of the clips the model is least sure of: 24 pictures of some 4 kB."""
_PICTURE_LONG_SIDE_PX = 160
MAX_MESSAGES = 50
"""Notes, and clips that failed: of thousands, the first tell what is wrong."""
MAX_IN_LABEL_ORDER = 20
"""More classes than can be looked over are sorted by recall."""
MAX_NUMBERED = 40
"""Up to so many classes, the matrix shows its counts; beyond, they are read by pointing at a cell."""


@dataclass(frozen=True)
class _Part:
    """A line of the table of data."""

    name: str
    num_clips: int
    num_groups: int
    """0 where nothing says."""
    num_classes: int
    clips_a_class: str
    """From the smallest class to the largest."""

    @classmethod
    def of(cls, name: str, clips: Sequence[LabelledClip]) -> _Part:
        sizes = Counter(clip.label for clip in clips).values()
        groups = {clip.group for clip in clips} - {None}
        span = f"{min(sizes)}" if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
        return cls(name, len(clips), len(groups), len(sizes), span)


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
    clips: Sequence[JudgedClip] = (),
    parts: Mapping[str, Sequence[LabelledClip]] | None = None,
    notes: Sequence[str] = (),
    bottleneck: str = "",
    environment: Mapping[str, str] | None = None,
    recipe_toml: str = "",
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
) -> None:
    """Write the report.

    Args:
        path: the file.
        title: its heading.
        metrics: of the clips that judge.
        epochs: of a training run, for the curves.
        clips: those that judge, one by one: the surest mistakes and the least sure are shown, each with a picture.
        parts: the clips that trained, chose and judged, by what the part is called. Empty ones are left out.
        notes: sentences under the heading: where the data came from, what was left out. The first `MAX_MESSAGES`.
        bottleneck: one line under the figures on what held the run up.
        environment: see `videoclf.results.environment.describe_environment`.
        recipe_toml: shown at the end, if given.
        reading: how the pictures' clips are decoded.

    Raises:
        RunFolderUnusableError: the file cannot be written.
    """
    cells = _cells(metrics.confusion)
    mistakes = sorted((cell for cell in cells if cell.true != cell.called), key=lambda c: (-c.num_clips, -c.share))
    mistaken_clips, unsure_clips = surest_mistakes(clips, MAX_CLIPS_SHOWN), least_sure(clips, MAX_CLIPS_SHOWN)
    html = render(
        "report.html.j2",
        title=title,
        metrics=metrics,
        parts=[_Part.of(name, part) for name, part in (parts or {}).items() if part],
        mistaken_clips=mistaken_clips,
        unsure_clips=unsure_clips,
        pictures=_pictures({clip.source for clip in (*mistaken_clips, *unsure_clips)}, reading),
        notes=notes,
        bottleneck=bottleneck,
        environment=environment or {},
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
    write_atomically(path, html)


def _pictures(sources: Iterable[str], reading: ReadOptions) -> dict[str, str]:
    """The address that holds a picture of each clip; empty where it gives none."""
    return {
        source: data_uri(middle_thumbnail(Path(source), reading, long_side_px=_PICTURE_LONG_SIDE_PX))
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
    accuracy.set(ylabel="top-1", ylim=(0, 1.02))
    for axes in (losses, accuracy):
        axes.set(xlabel="epoch", xlim=(0.8, len(epochs) + 0.2))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no epoch 1.25
        axes.legend()
    return svg(figure)


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
    return svg(figure)


def _cells(confusion: Sequence[Sequence[int]]) -> list[_Cell]:
    return [
        _Cell(true, called, num_clips, num_in_class)
        for true, (row, num_in_class) in enumerate(zip(confusion, map(sum, confusion), strict=True))
        for called, num_clips in enumerate(row)
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
    """The classes in label order; of many the weakest first, and those without a clip last."""
    rows = list(metrics.per_class.items())
    if len(rows) > MAX_IN_LABEL_ORDER:
        rows.sort(key=lambda row: (row[1].num_clips == 0, row[1].recall))
    return rows
