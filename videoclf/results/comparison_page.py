"""A comparison of runs as rows of text, and as an HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from videoclf.files import write_atomically
from videoclf.results.compare import ComparedRun, Comparison, PairedDifference
from videoclf.results.page import render, svg


def rows_of(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """The rows of the table: a heading, and a cell for each run. The recipe keys that differ come last."""
    runs = comparison.runs
    rows = [
        ("clips", [str(run.num_clips) for run in runs]),
        ("top-1", [f"{run.top1:.3f}" for run in runs]),
        ("top-1, 95 %", [str(run.top1_interval or "–") for run in runs]),
        ("top-5", [f"{run.top5:.3f}" for run in runs]),
        ("mean per-class accuracy", [f"{run.mean_class_accuracy:.3f}" for run in runs]),
        ("mean per-class accuracy, 95 %", [str(run.mean_class_accuracy_interval or "–") for run in runs]),
        ("calibration error", [f"{run.ece:.3f}" for run in runs]),
        ("negative log-likelihood", [f"{run.nll:.3f}" for run in runs]),
    ]
    if any(run.num_failed for run in runs):
        rows.insert(1, ("failed clips", [str(run.num_failed) for run in runs]))
    return rows + [(key, [_value(run, key) for run in runs]) for key in comparison.differing_keys]


def describe_pair(pair: PairedDifference) -> str:
    """The difference of two runs in one line."""
    return (
        f"{pair.second} vs. {pair.first} on {pair.num_clips} clips: top-1 {pair.difference:+.3f} "
        f"(95 %: {pair.interval.low:+.3f} to {pair.interval.high:+.3f}); "
        f"correct only in {pair.second}: {pair.num_only_second}, only in {pair.first}: {pair.num_only_first}"
    )


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Write the page.

    Raises:
        RunFolderUnusableError: the file cannot be written.
    """
    html = render(
        "comparison.html.j2",
        title="Comparison",
        runs=comparison.runs,
        warnings=comparison.warnings,
        rows=rows_of(comparison),
        pairs=[describe_pair(pair) for pair in comparison.pairs],
        intervals_svg=_intervals(comparison),
    )
    write_atomically(path, html)


def _value(run: ComparedRun, key: str) -> str:
    value: Any = run.recipe.get(key, "–")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _intervals(comparison: Comparison) -> str:
    """For each run a line over its 95 % interval, and a dot at top-1."""
    num_runs = len(comparison.runs)
    figure = Figure(figsize=(8, 1.1 + 0.35 * num_runs), layout="constrained")
    axes = figure.subplots()
    for number, run in enumerate(comparison.runs, 1):
        if run.top1_interval is not None:
            axes.plot([run.top1_interval.low, run.top1_interval.high], [number, number], color="C0", linewidth=2)
        axes.plot(run.top1, number, "o", color="C0")
    axes.set(ylabel="run", ylim=(num_runs + 0.5, 0.5), yticks=range(1, num_runs + 1))
    axes.set(xlabel="top-1 accuracy (line: 95 % interval)")
    axes.grid(axis="x", alpha=0.3)
    return svg(figure)
