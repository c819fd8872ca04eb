"""``videoclf train``: train a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoclf.cli.console import ProgressDisplay, print_error, print_metrics, print_notice, print_result
from videoclf.cli.exit_codes import EXIT_FAILED
from videoclf.cli.options import (
    Cache,
    Data,
    Decoder,
    Device,
    DeviceMap,
    GroupRegex,
    Init,
    Isolate,
    Limit,
    NoCache,
    Overrides,
    Precision,
    PrecisionName,
    RecipeName,
    Split,
    SplitFiles,
    Workers,
    feature_cache,
    num_threads,
    read_options,
)
from videoclf.media.options import DecoderName

if TYPE_CHECKING:
    from videoclf.progress import Progress


def train(
    data: Data,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for the model, its metrics and its report.")],
    recipe: RecipeName = None,
    init: Init = None,
    overrides: Overrides = None,
    split: Split = None,
    split_files: SplitFiles = None,
    group_regex: GroupRegex = None,
    device: Device = "auto",
    device_map: DeviceMap = None,
    devices: Annotated[
        int,
        typer.Option(metavar="N", help="Number of GPUs to train on, or of processes on the CPU."),
    ] = 1,
    precision: PrecisionName = Precision.FLOAT32,
    workers: Workers = None,
    decoder: Decoder = DecoderName.PYAV,
    isolate: Isolate = False,
    limit: Limit = None,
    cache: Cache = None,
    no_cache: NoCache = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in RUN where it stopped; start it if there is none."),
    ] = False,
    checkpoint_seconds: Annotated[
        float, typer.Option(metavar="S", min=0, help="Interval between checkpoints in seconds; 0: after every step.")
    ] = 60.0,
    max_unreadable: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Stop if more than this share of the clips (and more than ten) cannot be read.",
        ),
    ] = 0.05,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write curves for TensorBoard to RUN/tensorboard.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run in RUN.")] = False,
    allow_leaks: Annotated[
        bool,
        typer.Option(
            "--allow-leaks", help="Continue although a group, or a clip and its copy, is on two sides of the split."
        ),
    ] = False,
) -> None:
    """Train a classifier on your videos.

    The clips are divided into train, validation and test by whole groups. Validation chooses the epoch, and the test
    part is read once. RUN contains model.safetensors (for predict and evaluate), metrics.json, report.html,
    recipe.toml, log.csv, split.json and predictions.jsonl. After Ctrl-C or a crash, the same command with --resume
    continues, and gives the weights of a run that was never interrupted.
    """
    features_in = feature_cache(cache, no_cache=no_cache)
    with ProgressDisplay() as display:
        display.start("loading torch", None)
        from videoclf.training.run.folder import TENSORBOARD_FOLDER
        from videoclf.training.run.processes import is_first_process
        from videoclf.training.run.train import train as train_model

        progress: Progress = display
        if tensorboard:
            from videoclf.training.run.tensorboard import TensorBoardProgress

            progress = TensorBoardProgress(display, out / TENSORBOARD_FOLDER)
        run = train_model(
            data,
            out=out,
            recipe=recipe,
            overrides=overrides or [],
            init=init,
            split=split,
            split_files=split_files,
            group_regex=group_regex,
            device=device,
            device_map=device_map,
            num_devices=devices,
            precision=precision.value,
            workers=num_threads(workers),
            reading=read_options(decoder, limit, isolate=isolate),
            feature_cache=features_in,
            overwrite=overwrite,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            max_unreadable=max_unreadable,
            allow_leaks=allow_leaks,
            progress=progress,
        )
    if not is_first_process():
        return
    if tensorboard and not any((out / TENSORBOARD_FOLDER).glob("events.out.*")):
        print_notice("--tensorboard: no epoch was trained, and the run has no earlier curves")
    print_metrics(run.metrics, f"{run.evaluated_on} clips")
    print_result(run.metrics.describe_intervals())
    if run.linear_probe is not None:
        print_result(run.linear_probe.describe())
    print_result(f"model: {run.model_path} · peak memory while training: {run.peak_memory_bytes / 1e9:.1f} GB")
    print_result(f"report: {run.folder / 'report.html'}")
    if run.num_unreadable:
        print_error(f"{run.num_unreadable} clips could not be read and were left out; see above")
        raise typer.Exit(EXIT_FAILED)
