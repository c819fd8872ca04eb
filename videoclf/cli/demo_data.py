"""``videoclf demo-data``: render a small dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videoclf.cli.console import ProgressBar, print_result


def demo_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the clips; created if it does not exist.")],
    seed: Annotated[int, typer.Option(min=0, help="Random seed. The same seed gives the same clips.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace clips with the same names.")] = False,
) -> None:
    """Render a small dataset in UCF101's layout: 4 classes that differ only in the order of events.

    A disc visits the four corners of the frame; the class is the order in which it does. Example:
    videoclf train DIR --recipe tiny --out runs/demo
    """
    from videoclf.data.demo import NUM_CLIPS_PER_GROUP, NUM_GROUPS, ORDERS, render_demo_data

    with ProgressBar() as bar:
        bar.start("rendering clips", len(ORDERS) * NUM_GROUPS * NUM_CLIPS_PER_GROUP)
        num_clips = render_demo_data(folder, seed=seed, overwrite=overwrite, on_clip=bar.advance)
    print_result(f"{num_clips} clips of {len(ORDERS)} classes in {NUM_GROUPS} groups: {folder}")
