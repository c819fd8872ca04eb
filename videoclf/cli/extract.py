"""``videoclf extract``: features of a frozen backbone, once for all trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videoclf.cli.console import ProgressDisplay, print_error, print_result
from videoclf.cli.exit_codes import EXIT_FAILED
from videoclf.cli.options import (
    Data,
    Decoder,
    Device,
    Isolate,
    Limit,
    Overrides,
    RecipeName,
    Workers,
    num_threads,
    read_options,
)
from videoclf.media.options import DecoderName


def extract(
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(metavar="CACHE", help="The folder to fill; by default the one that `videoclf info` shows."),
    ] = None,
    recipe: RecipeName = None,
    init: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Take this model's backbone, as `train --init` does.")
    ] = None,
    overrides: Overrides = None,
    device: Device = "auto",
    workers: Workers = None,
    decoder: Decoder = DecoderName.PYAV,
    isolate: Isolate = False,
    limit: Limit = None,
) -> None:
    """Run every clip through a recipe's frozen backbone, and keep the features.

    `videoclf train DATA --cache CACHE` with the same recipe (its temporal and training sections may differ, but for
    training.horizontal_flip) then starts at once. What is there already is not computed again: run it again after an
    interruption, or when clips were added. To have the space back, delete the folder.
    """
    with ProgressDisplay() as display:
        display.start("loading torch", None)
        from videoclf.training.extract import extract as extract_features

        done = extract_features(
            data,
            out=out,
            recipe=recipe,
            init=init,
            overrides=overrides or [],
            device=device,
            workers=num_threads(workers),
            reading=read_options(decoder, limit, isolate=isolate),
            progress=display,
        )
    if done.num_computed or done.failed:
        print_result(
            f"{done.num_computed} clips computed ({done.num_bytes_written / 1e6:.1f} MB), "
            f"{done.num_served} were there already"
        )
    else:
        print_result(f"nothing to do: {done.num_served} of {done.num_clips} clips were there already")
    print_result(f"{done.folder}: {done.size.num_entries} views of clips, {done.size.size_bytes / 1e6:.1f} MB")
    if done.failed:
        print_error(f"{len(done.failed)} of {done.num_clips} clips could not be read; they are named above")
        raise typer.Exit(EXIT_FAILED)
