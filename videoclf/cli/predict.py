"""``videoclf predict``: classify files, folders, patterns and lists."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoclf.cli.console import ProgressBar, messages, print_error, print_notice, print_result
from videoclf.cli.csv_table import CsvTable
from videoclf.cli.exit_codes import EXIT_FAILED
from videoclf.cli.options import (
    Decoder,
    Device,
    DeviceMap,
    Engine,
    Isolate,
    Json,
    Limit,
    VideoStream,
    Workers,
    check_overwrite,
    num_threads,
    read_options,
)
from videoclf.inference.options import EngineName
from videoclf.media.options import DecoderName

if TYPE_CHECKING:
    from videoclf.inference.prediction import Failure, Prediction


_CSV_COLUMNS = ("source", "label", "score", "uncertain", "num_frames", "duration_seconds", "model", "warnings", "error")


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Video files, folders, patterns ('clips/*.mp4'), or - to read a list from standard input.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Model: a name from `videoclf models`, a model file, a run's folder, or an exported file; by default "
            "actions16.",
        ),
    ] = None,
    engine: Engine = EngineName.AUTO,
    top_k: Annotated[int, typer.Option(min=1, help="Number of classes to print for each video.")] = 3,
    device: Device = "auto",
    device_map: DeviceMap = None,
    workers: Workers = None,
    decoder: Decoder = DecoderName.PYAV,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Where this saves decoding, take frames up to 0.25 s away from their sample time."),
    ] = False,
    isolate: Isolate = False,
    video_stream: VideoStream = None,
    limit: Limit = None,
    as_json: Json = False,
    csv_file: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Also write a table with one row for each video and its best class."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table in FILE.")] = False,
) -> None:
    """Classify videos.

    Prints one line for each video: its classes with scores from 0 to 1, best first. "uncertain" means that the best
    score is below the model's threshold: the video may show none of the model's classes. A video that cannot be read is
    reported on standard error, and the others are still classified.
    """
    from videoclf.inference.model import load
    from videoclf.inference.prediction import Failure
    from videoclf.media.sources import expand_sources
    from videoclf.zoo import DEFAULT_MODEL_NAME, EVERYDAY_MODEL_NAME

    check_overwrite(csv_file, "--csv", overwrite=overwrite)
    reading = read_options(decoder, limit, isolate=isolate, fast=fast, video_stream=video_stream)
    table = None if csv_file is None else CsvTable(csv_file, _CSV_COLUMNS, overwrite=overwrite, notice=print_notice)
    loaded = load(model, engine=engine, device=device, device_map=device_map, progress=print_notice)
    num_done = num_failed = num_uncertain = 0
    with table or contextlib.nullcontext(), ProgressBar() as bar:
        bar.start("videos", None)
        paths = expand_sources(sources, sys.stdin)
        for outcome in loaded.predict_many(paths, workers=num_threads(workers), reading=reading):
            num_done += 1
            num_failed += isinstance(outcome, Failure)
            num_uncertain += not isinstance(outcome, Failure) and outcome.uncertain
            _print(outcome, top_k, as_json=as_json)
            if table is not None:
                table.write(_row(outcome))
            bar.advance()
    if num_done == 0:
        print_error("no sources: the list on standard input is empty")
    elif num_done > 1:
        messages().print(f"{num_done - num_failed} of {num_done} videos classified", style="dim")
    if num_uncertain and loaded.header.name == DEFAULT_MODEL_NAME:
        print_notice(
            f"{DEFAULT_MODEL_NAME} knows {len(loaded.labels)} actions; for 400 everyday ones: --model "
            f"{EVERYDAY_MODEL_NAME} (downloaded once)"
        )
    if num_failed or num_done == 0:
        raise typer.Exit(EXIT_FAILED)


def _print(outcome: Prediction | Failure, top_k: int, *, as_json: bool) -> None:
    from videoclf.inference.prediction import Failure

    if isinstance(outcome, Failure):
        if as_json:
            print_result(outcome.to_json_line())
        else:
            print_error(outcome.error.message)
        return
    best = outcome.top(top_k)
    if as_json:
        print_result(best.to_json_line())
        return
    scores = ", ".join(f"{entry.label} {entry.score:.2f}" for entry in best.labels)
    print_result(f"{outcome.source}: {f'uncertain; top guesses: {scores}' if outcome.uncertain else scores}")
    for warning in outcome.warnings:
        print_notice(f"{outcome.source}: {warning}")


def _row(outcome: Prediction | Failure) -> list[object]:
    from videoclf.inference.prediction import Failure

    if isinstance(outcome, Failure):
        return [outcome.source, *[""] * 7, outcome.error.message]
    return [
        outcome.source, outcome.label, f"{outcome.score:.4f}", str(outcome.uncertain).lower(), outcome.num_frames,
        outcome.duration_seconds, outcome.model, "; ".join(outcome.warnings), "",
    ]  # fmt: skip
