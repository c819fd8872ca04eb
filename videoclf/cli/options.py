"""Options that several subcommands share."""

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
    """Of the computation; weights are always kept in 32 bits."""

    FLOAT32 = "32"
    BFLOAT16 = "bf16"
    FLOAT16 = "16"


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="A folder [train/]CLASS/clip.avi, or a list of path,label[,group][,split] lines."
    ),
]
Init = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="Start from this model's backbone and temporal weights, with a new head."),
]
PrecisionName = Annotated[Precision, typer.Option(help="Bits of the computation.")]
Device = Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda, cuda:1, ...")]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        "--device-map",
        "--place",
        metavar="PART=DEVICE,...",
        help="Parts of one network on several devices: backbone=cuda:0,temporal=cuda:1; see docs/training.md.",
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(help="Who computes: auto takes openvino (pip install 'videoclf[cpu]') where it is there, else torch."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Workers = Annotated[
    int | None, typer.Option(min=1, max=64, help="Videos decoded at once; by default one a core, four at most.")
]
Decoder = Annotated[
    DecoderName,
    typer.Option(help="Who decodes. All give the same frames or say that they cannot; pyav reads the most files."),
]
Isolate = Annotated[
    bool,
    typer.Option("--isolate", help="Decode in child processes: a codec that crashes or hangs costs its clip only."),
]
VideoStream = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Of a file with several video streams, which; from 0."),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Change what a video may ask of this machine; see docs/decoding.md."),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="given (what DATA says: the default where it does), group:SEED (default where names carry groups), "
        "random:SEED, official:N, leave-out:GROUP,..., none.",
    ),
]
SplitFiles = Annotated[
    Path | None, typer.Option(help="Folder of the official split lists, where they are not in or beside DATA.")
]
GroupRegex = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX", help="Finds a clip's group in its file name or its path below DATA; by default UCF101's _g01_."
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe", metavar="NAME|FILE", help="A name from `videoclf models` or a TOML file; see docs/recipes.md."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe's key: --set training.epochs=20. Repeatable."),
]
Cache = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where a frozen backbone's features are kept from run to run; see `info`."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep them for this run alone.")]


def feature_cache(folder: Path | None, *, no_cache: bool) -> Path | str | None:
    """What the two options say, as `videoclf.train` takes it.

    Raises:
        UsageInvalidError: both were given.
    """
    if folder is not None and no_cache:
        raise UsageInvalidError("--cache and --no-cache exclude each other; give one of them")
    return None if no_cache else folder or "auto"


def check_overwrite(output: Path | None, option: str, *, overwrite: bool) -> None:
    """``--overwrite`` is said of something.

    Args:
        output: what the option names.
        option: as in ``--out``.
        overwrite: whether it was said.

    Raises:
        UsageInvalidError: there is no output that it could be of.
    """
    if overwrite and output is None:
        raise UsageInvalidError(
            f"--overwrite: says what to do with {option}, which is not given; add it, or leave both out"
        )


def num_threads(workers: int | None) -> int:
    """The number asked for, or the default."""
    return workers or DEFAULT_NUM_THREADS


def read_options(
    decoder: DecoderName,
    limits: Sequence[str] | None,
    *,
    isolate: bool,
    fast: bool = False,
    video_stream: int | None = None,
) -> ReadOptions:
    """What the options of a command say of reading."""
    return ReadOptions(
        decoder=decoder,
        picking=Picking.FAST if fast else Picking.EXACT,
        isolate=isolate,
        video_stream=video_stream,
        limits=limits_with(limits or ()),
    )
