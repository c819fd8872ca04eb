"""``videoclf evaluate``: evaluate a model on labelled clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoclf.cli.console import (
    ProgressBar,
    describe_figures,
    print_error,
    print_metrics,
    print_notice,
    print_result,
)
from videoclf.cli.exit_codes import EXIT_FAILED
from videoclf.cli.options import (
    Data,
    Decoder,
    Device,
    DeviceMap,
    GroupRegex,
    Isolate,
    Json,
    Limit,
    SplitFiles,
    TestedSplit,
    Workers,
    check_overwrite,
    num_threads,
    read_options,
)
from videoclf.media.options import DecoderName

if TYPE_CHECKING:
    from videoclf.inference.prediction import Failure, Prediction


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name from `videoclf models`, a model file, or a run's folder.")
    ],
    data: Data,
    split: TestedSplit = None,
    split_files: SplitFiles = None,
    group_regex: GroupRegex = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write metrics.json, predictions.jsonl and report.html to this folder."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another evaluation in DIR.")] = False,
    device: Device = "auto",
    device_map: DeviceMap = None,
    workers: Workers = None,
    decoder: Decoder = DecoderName.PYAV,
    isolate: Isolate = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Evaluate a model on labelled clips.

    Evaluates on all of DATA, or with --split on its test part. Clips that the model was trained on are counted, and the
    metrics without them are printed too.

    Clips that cannot be read are named, counted and left out; the exit code is then 1.
    """
    from videoclf.inference.prediction import Failure

    check_overwrite(out, "--out", overwrite=overwrite)
    with ProgressBar() as bar:
        bar.start("loading torch", None)
        from videoclf.results.evaluate import evaluate as evaluate_model

        is_first = True

        def on_clip(total: int, outcome: Prediction | Failure) -> None:
            nonlocal is_first
            if is_first:
                bar.start("clips", total)
                is_first = False
            bar.advance()
            if isinstance(outcome, Failure):
                print_error(outcome.error.message)

        metrics = evaluate_model(
            model,
            data,
            split=split,
            split_files=split_files,
            group_regex=group_regex,
            out=out,
            overwrite=overwrite,
            device=device,
            device_map=device_map,
            workers=num_threads(workers),
            reading=read_options(decoder, limit, isolate=isolate),
            progress=print_notice,
            on_clip=on_clip,
        )
    if as_json:
        print_result(json.dumps(metrics.model_dump()))
    else:
        print_metrics(metrics, f"{model} on {data}")
        print_result(metrics.describe_intervals())
        if metrics.without_trained_on is not None:
            new = metrics.without_trained_on
            print_result(
                f"without the {metrics.num_trained_on} clips that the model was trained on: {describe_figures(new)}"
            )
            print_result(new.describe_intervals())
        if out is not None:
            print_result(f"report: {out / 'report.html'}")
    if metrics.num_failed:
        raise typer.Exit(EXIT_FAILED)
