"""``videoclf extract``: compute the features of a frozen backbone once for several trainings."""

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
        typer.Option(metavar="CACHE", help="Folder of the feature cache; `videoclf info` shows the default."),
    ] = None,
    recipe: RecipeName = None,
    init: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Use the backbone of this model, like `train --init`.")
    ] = None,
    overrides: Overrides = None,
    device: Device = "auto",
    workers: Workers = None,
    decoder: Decoder = DecoderName.PYAV,
    isolate: Isolate = False,
    limit: Limit = None,
) -> None:
    """Compute the features of a recipe's frozen backbone for every clip, and cache them.

    `videoclf train DATA --cache CACHE` with the same recipe then starts at once. (Its temporal and training sections
    may differ, except for training.horizontal_flip.) Existing features are not computed again: repeat the command after
    an interruption, or when clips were added. To free the space, delete the folder.
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
            f"{done.num_served} were already cached"
        )
    else:
        print_result(f"nothing to do: {done.num_served} of {done.num_clips} clips were already cached")
    print_result(f"{done.folder}: {done.size.num_entries} views of clips, {done.size.size_bytes / 1e6:.1f} MB")
    if done.failed:
        print_error(f"{len(done.failed)} of {done.num_clips} clips could not be read; they are named above")
        raise typer.Exit(EXIT_FAILED)
