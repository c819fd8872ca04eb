"""``report.html``: the figures of a run or an evaluation, in one file that needs nothing else."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict

from videoclf.atomic import write_atomically
from videoclf.evaluation.metrics import Metrics


class EpochRecord(BaseModel):
    """One pass over the training clips."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    """Counted from 1."""
    train_loss: float
    """Mean cross-entropy of the training clips as they were trained on (augmented, dropout on), in nats."""
    validation_loss: float
    """Mean negative log-likelihood of the validation clips, in nats."""
    validation_top1: float
    learning_rate: float
    """At the epoch's end."""
    seconds: float


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
        notes: sentences under the heading: where the data came from, what was left out.
        recipe_toml: shown at the end, if given.

    Raises:
        RunFolderUnusable: the file cannot be written.
    """
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        files("videoclf.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    )
    html = template.render(
        title=title,
        metrics=metrics,
        epochs=epochs,
        notes=notes,
        recipe_toml=recipe_toml,
        curves_svg=_curves(epochs) if epochs else "",
        confusion_svg=_confusion(metrics),
    )
    write_atomically(path, html.encode("utf-8", "backslashreplace"))  # file names may be no UTF-8


def _curves(epochs: Sequence[EpochRecord]) -> str:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    x = [record.epoch for record in epochs]
    losses.plot(x, [record.train_loss for record in epochs], label="training")
    losses.plot(x, [record.validation_loss for record in epochs], label="validation")
    losses.set(xlabel="epoch", ylabel="loss (nats)")
    losses.legend()
    accuracy.plot(x, [record.validation_top1 for record in epochs], color="C1")
    accuracy.set(xlabel="epoch", ylabel="validation top-1", ylim=(0, 1.02))
    return _svg(figure)


def _confusion(metrics: Metrics) -> str:
    """Rows are true classes; each cell is the share of its row."""
    labels = list(metrics.per_class)
    side = max(4.0, 0.32 * len(labels) + 2) if len(labels) <= 40 else 14.0
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in metrics.confusion]
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    font_size = 8 if len(labels) <= 40 else 4
    names = [label if len(label) <= 40 else f"{label[:39]}…" for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font_size, parse_math=False)
    axes.set_yticks(range(len(names)), names, fontsize=font_size, parse_math=False)
    axes.set(xlabel="called", ylabel="true")
    if len(labels) <= 40:
        for i, row in enumerate(metrics.confusion):
            for j, count in enumerate(row):
                if count:
                    axes.text(j, i, str(count), ha="center", va="center", fontsize=7,
                              color="white" if shares[i][j] > 0.5 else "black")  # fmt: skip
    return _svg(figure)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    # text stays text, which the browser draws: smaller, and letters that matplotlib's own font lacks do not matter
    with mpl.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
