"""``videoclf compare``: compare runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoclf.cli.console import ProgressBar, print_notice, print_result, print_table
from videoclf.cli.options import Json, check_overwrite
from videoclf.files import refuse_to_replace

if TYPE_CHECKING:
    from videoclf.results.compare import Comparison


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="At least two folders written by train, evaluate --out or crossval."),
    ],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write an HTML page with a plot.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page in FILE.")] = False,
    as_json: Json = False,
) -> None:
    """Compare runs: their metrics with 95 % confidence intervals, and the recipe keys in which they differ.

    Two runs that were evaluated on the same clips are also compared clip by clip, which is much more precise than
    comparing two intervals. Example: videoclf compare runs/a runs/b --html compare.html
    """
    check_overwrite(html, "--html", overwrite=overwrite)
    if html is not None:
        refuse_to_replace(html, overwrite=overwrite, beginning=b"<!doctype html>")
    with ProgressBar() as bar:
        bar.start("loading torch", None)
        from videoclf.results.compare import compare as compare_runs
        from videoclf.results.comparison_page import write_comparison

        comparison = compare_runs(runs)
        if html is not None:
            write_comparison(html, comparison)
    if as_json:
        print_result(comparison.model_dump_json())
    else:
        _print(comparison)
        if html is not None:
            print_result(f"page: {html}")


def _print(comparison: Comparison) -> None:
    from rich.table import Table

    from videoclf.results.comparison_page import describe_pair, rows_of

    for warning in comparison.warnings:
        print_notice(warning)
    table = Table()
    table.add_column("")
    for number, run in enumerate(comparison.runs, 1):
        print_result(f"{number}: {run.run} ({run.evaluated_on})")
        table.add_column(str(number), justify="right")
    for heading, cells in rows_of(comparison):
        table.add_row(heading, *cells)
    print_table(table)
    for pair in comparison.pairs:
        print_result(describe_pair(pair))
    if not comparison.pairs:
        print_result("no two of these runs have predictions for the same clips")
