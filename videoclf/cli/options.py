"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from videoclf.errors import UsageInvalidError
from videoclf.inference.options import EngineName
from videoclf.media.limits import limits_with
from videoclf.media.options import DEFAULT_NUM_THREADS, DecoderName, Picking, ReadOptions


class Precision(StrEnum):
    """Precision of the computation. Weights are always stored in 32 bits."""

    FLOAT32 = "32"
    BFLOAT16 = "bf16"
    FLOAT16 = "16"


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Dataset: a folder with [train/]CLASS/clip.avi, or a list of path,label[,group][,split] lines.",
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help="Initialize backbone and temporal model with the weights of this model; the head is new."
    ),
]
PrecisionName = Annotated[
    Precision, typer.Option(help="Precision of the computation. Weights are always stored in 32 bits.")
]
Device = Annotated[str, typer.Option(help="Device: auto (a GPU if there is one, else the CPU), cpu, cuda, cuda:1, ...")]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        "--device-map",
        "--place",
        metavar="PART=DEVICE,...",
        help="Put the parts of one network (backbone, temporal, head) on several devices; see docs/training.md.",
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(
        help="Inference backend. On a CPU, auto uses openvino where it is installed (pip install 'videoclf[cpu]'), "
        "else torch."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=64, help="Number of videos decoded at the same time; by default one for each CPU core, at most four."
    ),
]
Decoder = Annotated[
    DecoderName,
    typer.Option(help="Decoder. All give the same frames, or refuse a file with an error; pyav reads the most files."),
]
Isolate = Annotated[
    bool,
    typer.Option("--isolate", help="Decode in child processes: if a codec crashes or hangs, only that clip fails."),
]
VideoStream = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Which video stream of a file to read, counted from 0; by default the one that a player would show.",
    ),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Change a limit on what decoding one video may use, such as time or memory. Repeatable. All limits: "
        "docs/decoding.md",
    ),
]
_SPLITS = "given (as DATA says), group:SEED (by whole groups), random:SEED, official:N, leave-out:G,..."
Split = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help=f"How to divide the clips: {_SPLITS}, none. By default given if DATA has it, else group:0 if "
        "names contain groups, else random:0.",
    ),
]
TestedSplit = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help=f"Evaluate on the test part of this split: run (the split of the model's own run), {_SPLITS}. By default, "
        "all clips are evaluated.",
    ),
]
CheckedSplit = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help=f"Also check this split for leaks: {_SPLITS}. By default given if DATA has it."),
]
SplitFiles = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of the official split lists; by default they are searched for in and beside DATA."
    ),
]
GroupRegex = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Regular expression that finds the group of a clip in its file name, or in its path below DATA; by "
        "default UCF101's `_g01_`.",
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="Recipe: a name from `videoclf models`, a TOML file (see docs/recipes.md), or auto: the default one with "
        "the features that suit the clips best.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a recipe key, as in training.epochs=20. Repeatable."),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of the feature cache, which later runs reuse; `videoclf info` shows the default."
    ),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep the features for this run only.")]


def feature_cache(folder: Path | None, *, no_cache: bool) -> Path | str | None:
    """The feature cache that the two options select, as `videoclf.train` takes it.

    Raises:
        UsageInvalidError: both options were given.
    """
    if folder is not None and no_cache:
        raise UsageInvalidError("--cache and --no-cache exclude each other; give only one of them")
    return None if no_cache else folder or "auto"


def check_overwrite(output: Path | None, option: str, *, overwrite: bool) -> None:
    """Refuse ``--overwrite`` without an output.

    Args:
        output: the value of the option.
        option: its name, such as ``--out``.
        overwrite: whether ``--overwrite`` was given.

    Raises:
        UsageInvalidError: ``--overwrite`` was given without an output.
    """
    if overwrite and output is None:
        raise UsageInvalidError(f"--overwrite: needs {option}, which is not given; add it, or omit both")


def num_threads(workers: int | None) -> int:
    """The given number, or the default."""
    return workers or DEFAULT_NUM_THREADS


def read_options(
    decoder: DecoderName,
    limits: Sequence[str] | None,
    *,
    isolate: bool,
    fast: bool = False,
    video_stream: int | None = None,
) -> ReadOptions:
    """The options of a command for reading videos."""
    return ReadOptions(
        decoder=decoder,
        picking=Picking.FAST if fast else Picking.EXACT,
        isolate=isolate,
        video_stream=video_stream,
        limits=limits_with(limits or ()),
    )
