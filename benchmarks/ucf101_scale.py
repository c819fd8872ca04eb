"""UCF101 at its real scale without its videos: 13,320 links with the official names to a few real clips.

    python benchmarks/ucf101_scale.py --lists UCF101-LISTS --clips FOLDER-OF-VIDEOS [--recipe NAME] [--steps N]

Times the scan and the three official splits, then trains for some steps and prints when the first one was done (imports
and scan included) and how memory grew. Nothing is kept.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook

import videoclf
from videoclf.data.dataset import load_dataset
from videoclf.data.manifest import load_manifest
from videoclf.data.official import read_official_split
from videoclf.data.splits import make_split
from videoclf.media.sources import videos_below


class EnoughStepsError(Exception):
    """The run has gone on for as many steps as were asked for."""


def main() -> None:
    """Lay the links, scan, split, train for a while, and print."""
    parser = argparse.ArgumentParser(description="Train at UCF101's scale, with links to a few clips.")
    parser.add_argument("--lists", type=Path, required=True, help="folder with trainlist01.txt ... testlist03.txt")
    parser.add_argument("--clips", type=Path, required=True, help="folder with some videos")
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "UCF-101"
        num_links = lay_links(data, arguments.lists, arguments.clips)
        print(f"{num_links} links over the clips of {arguments.clips}")
        print_splits(data, arguments.lists)
        print_training(data, arguments, Path(temporary) / "run")


def lay_links(data: Path, lists: Path, clips: Path) -> int:
    """A link for every name of the first official split; the clips take turns."""
    split = read_official_split(data, 1, lists)
    targets = itertools.cycle(videos_below(clips.resolve()))
    for label, name in (*split.train, *split.test):
        folder = data / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.avi").symlink_to(next(targets))
    return len(split.train) + len(split.test)


def print_splits(data: Path, lists: Path) -> None:
    """Scan and part the links as a run does, and compare with what is published."""
    started = time.perf_counter()
    dataset = load_dataset(data)
    print(f"scan: {time.perf_counter() - started:.2f} s, {dataset!r}")
    for published in load_manifest("ucf101").splits:
        started = time.perf_counter()
        parts = make_split(dataset, published.name, split_files=lists)
        num_train = len(parts.train) + len(parts.validation)
        verdict = "right" if (num_train, len(parts.test)) == (published.num_train, published.num_test) else "WRONG"
        print(
            f"{published.name}: {num_train} train (of them {len(parts.validation)} validate) / {len(parts.test)} test, "
            f"{verdict}, {time.perf_counter() - started:.2f} s"
        )


def print_training(data: Path, arguments: argparse.Namespace, out: Path) -> None:
    """Train for some steps; a hook after each optimiser step watches the clock and the memory."""
    started = time.perf_counter()
    seconds: list[float] = []
    memory_mb: list[float] = []

    def after_step(*_: Any) -> None:
        seconds.append(time.perf_counter() - started)
        memory_mb.append(resident_mb())
        if len(seconds) == arguments.steps:
            raise EnoughStepsError

    hook = register_optimizer_step_post_hook(after_step)
    try:
        videoclf.train(
            data, out=out, recipe=arguments.recipe, split="official:1", split_files=arguments.lists, allow_leaks=True
        )
    except EnoughStepsError:
        pass
    finally:
        hook.remove()
    print(f"{arguments.recipe}: first step {seconds[0]:.1f} s after `train` was called")
    print(f"{len(seconds)} steps in {seconds[-1]:.0f} s")
    marks = sorted({0, len(seconds) // 4, len(seconds) // 2, 3 * len(seconds) // 4, len(seconds) - 1})
    print("resident memory: " + ", ".join(f"step {i + 1}: {memory_mb[i]:.0f} MB" for i in marks))
    print(f"at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def resident_mb() -> float:
    """What the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
