"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1, ...")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Workers = Annotated[
    int | None, typer.Option(min=1, max=64, help="Videos decoded at once; by default one a core, four at most.")
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="group:SEED (default where names carry groups), random:SEED, official:N, leave-out:GROUP,..., none.",
    ),
]
SplitFiles = Annotated[
    Path | None, typer.Option(help="Folder of the official split lists, where they are not in or beside DATA.")
]
GroupRegex = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Finds a clip's group in its file name; by default UCF101's _g01_."),
]


def num_threads(workers: int | None) -> int:
    """The number asked for, or the default."""
    from videoclf.inference.model import DEFAULT_NUM_THREADS

    return workers or DEFAULT_NUM_THREADS
