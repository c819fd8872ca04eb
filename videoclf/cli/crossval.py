"""``videoclf crossval``: cross-validate a recipe."""

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
    """The test part of a fold."""

    GROUP = "group"
    OFFICIAL = "official"
    RANDOM = "random"


class Baseline(StrEnum):
    """What is evaluated instead of the recipe's network."""

    RIDGE = "ridge"


def crossval(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for metrics, predictions and the report.")],
    recipe: RecipeName = None,
    init: Init = None,
    overrides: Overrides = None,
    by: Annotated[
        By, typer.Option(help="Test part of each fold: whole groups, an official list, or random clips.")
    ] = By.GROUP,
    folds: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Number of folds; by default one for each group, or 5 with --by random."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Number of repeats, each with the next seed.")
    ] = 1,
    baseline: Annotated[
        Baseline | None,
        typer.Option(
            help="Evaluate a baseline instead of the network. ridge: a linear classifier on the frozen features."
        ),
    ] = None,
    unknown: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Exclude this class from training and measure how well its clips are rejected. Repeatable.",
        ),
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another cross-validation in DIR.")] = False,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Continue although a clip and its copy are on two sides of a fold.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Cross-validate a recipe: train and test on every fold.

    Each group (or official list) is the test part once. Validation is cut from the rest by whole groups and chooses
    epoch, temperature and threshold. Finished folds are kept: after an interruption, the same command continues. DIR
    contains metrics.json, predictions.jsonl (pooled out-of-fold predictions), report.html and recipe.toml.
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
        print_error(f"a clip could not be read {times}, and was left out; {out / 'metrics.json'} lists all of them")
        raise typer.Exit(EXIT_FAILED)


def _print_fold(record: FoldRecord, num_done: int, num_folds: int) -> None:
    known = record.known
    messages().print(
        f"{num_done:3} of {num_folds}  fold {record.fold}  seed {record.seed}  {record.num_correct} of {len(known)} "
        f"correct  validation {record.validation_top1:.3f}  {record.seconds:.1f} s"
    )


def _print_metrics(metrics: CrossvalMetrics) -> None:
    from rich.table import Table

    table = Table(title=f"{metrics.num_folds} folds, {counted(len(metrics.seeds), 'seed')}", title_justify="left")
    table.add_column("")
    for column in ("mean", "± over seeds", "each seed"):
        table.add_column(column, justify="right")
    rows = {
        "top-1": metrics.top1,
        "mean per-class accuracy": metrics.mean_class_accuracy,
        "calibration error": metrics.ece,
        "  before calibration": metrics.ece_uncalibrated,
        "negative log-likelihood": metrics.nll,
        "  before calibration ": metrics.nll_uncalibrated,
        "known clips accepted": metrics.accepted,
        "validation top-1": metrics.validation_top1,
    }
    if metrics.mean_average_precision is not None:
        rows["mean average precision"] = metrics.mean_average_precision
    if metrics.rejection is not None:
        rows["unknown clips accepted"] = metrics.rejection.accepted_unknown
        rows["known against unknown clips (AUROC)"] = metrics.rejection.auroc
    for name, spread in rows.items():
        each = " ".join(f"{value:.3f}" for value in spread.values)
        deviation = f"{spread.deviation:.3f}" if len(spread.values) > 1 else "–"
        table.add_row(name, f"{spread.mean:.3f}", deviation, each)
    print_table(table)
    pooled = metrics.pooled
    print_result(f"top-1 {metrics.top1} ({pooled.num_correct} of {pooled.num_clips}, all seeds together)")
    print_result(f"{pooled.describe_intervals()}, resampled by group")
    if metrics.linear_probe is not None:
        print_result(metrics.linear_probe.describe())
