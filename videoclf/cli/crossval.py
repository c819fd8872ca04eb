"""``videoclf crossval``: every fold in turn."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoclf.cli.console import ProgressDisplay, messages, print_error, print_result, print_table
from videoclf.cli.exit_codes import EXIT_FAILED
from videoclf.cli.options import (
    Cache,
    Data,
    Decoder,
    Device,
    GroupRegex,
    Init,
    Isolate,
    Json,
    Limit,
    NoCache,
    Overrides,
    Precision,
    PrecisionName,
    RecipeName,
    SplitFiles,
    Workers,
    feature_cache,
    num_threads,
    read_options,
)
from videoclf.errors import counted
from videoclf.media.options import DecoderName

if TYPE_CHECKING:
    from videoclf.evaluation.cross_validated import CrossvalMetrics, FoldRecord


class By(StrEnum):
    """What a fold's test part is."""

    GROUP = "group"
    OFFICIAL = "official"
    RANDOM = "random"


class Baseline(StrEnum):
    """What is judged in place of the recipe's network."""

    RIDGE = "ridge"


def crossval(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for figures, predictions and the report.")],
    recipe: RecipeName = None,
    init: Init = None,
    overrides: Overrides = None,
    by: Annotated[
        By, typer.Option(help="The test part of a fold: whole groups, an official list, or clips at random.")
    ] = By.GROUP,
    folds: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="By group: by default one a group. Random: by default 5.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Do all of it so often, each time with the next seed.")
    ] = 1,
    baseline: Annotated[
        Baseline | None, typer.Option(help="ridge: a linear classifier on the frozen features, to be beaten.")
    ] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Keep this class from training; its clips judge the rejection. Repeatable."),
    ] = None,
    split_files: SplitFiles = None,
    group_regex: GroupRegex = None,
    device: Device = "auto",
    precision: PrecisionName = Precision.FLOAT32,
    workers: Workers = None,
    decoder: Decoder = DecoderName.PYAV,
    isolate: Isolate = False,
    limit: Limit = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another cross-validation that DIR already holds.")
    ] = False,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Go on although a clip and its copy are on two sides of a fold.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train and test on every fold in turn: how good a recipe is, and how sure that is.

    Each group (or official list) is the test part once; validation is cut from the rest by whole groups and chooses
    epoch, temperature and threshold. What is done is kept: after an interruption the same command goes on. DIR then
    holds metrics.json, predictions.jsonl (out of fold, pooled), report.html and recipe.toml.
    """
    features_in = feature_cache(cache, no_cache=no_cache)
    with ProgressDisplay() as display:
        display.start("loading torch", None)
        from videoclf.cross_validation.crossval import crossval as cross_validate
        from videoclf.cross_validation.folder import to_json

        metrics = cross_validate(
            data,
            out=out,
            recipe=recipe,
            overrides=overrides or [],
            init=init,
            by=by.value,
            num_folds=folds,
            num_seeds=seeds,
            baseline=baseline.value if baseline else None,
            unknown=unknown or [],
            split_files=split_files,
            group_regex=group_regex,
            device=device,
            precision=precision.value,
            workers=num_threads(workers),
            reading=read_options(decoder, limit, isolate=isolate),
            feature_cache=features_in,
            overwrite=overwrite,
            allow_leaks=allow_leaks,
            progress=display,
            on_fold=_print_fold,
        )
    if as_json:
        print_result(to_json(metrics))
    else:
        _print_metrics(metrics)
        print_result(f"report: {out / 'report.html'}")
    if metrics.pooled.num_failed:
        times = counted(metrics.pooled.num_failed, "time")
        print_error(f"{times} a clip could not be read and was left out; {out / 'metrics.json'} names them")
        raise typer.Exit(EXIT_FAILED)


def _print_fold(record: FoldRecord, num_done: int, num_folds: int) -> None:
    known = record.known
    messages().print(
        f"{num_done:3} of {num_folds}  fold {record.fold}  seed {record.seed}  {record.num_right} of {len(known)} "
        f"right  validation {record.validation_top1:.3f}  {record.seconds:.1f} s"
    )


def _print_metrics(metrics: CrossvalMetrics) -> None:
    from rich.table import Table

    table = Table(title=f"{metrics.num_folds} folds, {counted(len(metrics.seeds), 'seed')}", title_justify="left")
    table.add_column("")
    for column in ("mean", "± over seeds", "each seed"):
        table.add_column(column, justify="right")
    rows = {
        "top-1": metrics.top1,
        "mean over classes": metrics.mean_class_accuracy,
        "calibration error": metrics.ece,
        "  before temperature": metrics.ece_uncalibrated,
        "negative log-likelihood": metrics.nll,
        "  before temperature ": metrics.nll_uncalibrated,
        "known clips accepted": metrics.accepted,
        "validation top-1": metrics.validation_top1,
    }
    if metrics.mean_average_precision is not None:
        rows["mean average precision"] = metrics.mean_average_precision
    if metrics.rejection is not None:
        rows["unknown clips accepted"] = metrics.rejection.accepted_unknown
        rows["known from unknown (AUROC)"] = metrics.rejection.auroc
    for name, spread in rows.items():
        each = " ".join(f"{value:.3f}" for value in spread.values)
        deviation = f"{spread.deviation:.3f}" if len(spread.values) > 1 else "–"
        table.add_row(name, f"{spread.mean:.3f}", deviation, each)
    print_table(table)
    pooled = metrics.pooled
    print_result(f"top-1 {metrics.top1} ({pooled.num_right} of {pooled.num_clips}, all seeds together)")
    print_result(f"{pooled.describe_intervals()}, clips of a group drawn together")
