"""Clips a second of one training process and of several that do the same steps.

    python benchmarks/processes.py [DATA] [--devices 1 2] [--rounds 5] [--recipe NAME] [--set KEY=VALUE]...

Each run is a separate `videoclf train`, measured by its log.csv: the training part of every epoch but the first,
decoding included; the share of time spent waiting for it is printed too. All runs train the same network on the same
number of clips a step: with fewer processes, each takes more of the step's batches (``training.accumulate``).
Processes have one thread each; the last row is one process with as many threads as there are cores. The rows take
turns in each round, and ratios to the first row are taken within a round. The fastest round shows what is possible
without other load on a shared machine. DATA is what `videoclf train` takes; by default it is a rendered set of
`videoclf demo-data`, with a ResNet-18 from random weights, which takes much longer than the clips take to decode.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch

from videoclf.data.dataset import load_dataset
from videoclf.data.demo import render_demo_data

NUM_CLIPS = 20
"""A fifth of them, a group, validates."""
CLIPS_PER_STEP = 8
NUM_EPOCHS = 3
NETWORK = (
    "backbone.weights=none", "preprocess.height=112", "preprocess.width=112", "sampling.max_frames=8",
    "training.min_crop_share=1",
)  # fmt: skip
"""Of the default recipe: random weights, and clips alike in length: no process waits for another's longer one."""


@dataclass
class Row:
    """One way to train."""

    num_processes: int
    num_threads: int
    """Of each."""
    clips_per_second: list[float] = field(default_factory=list)
    """Of each round, the median of its epochs."""
    waiting_share: list[float] = field(default_factory=list)


def main() -> None:
    """Let the rows take turns, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recipe", default="resnet18-gru")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    arguments = parser.parse_args()
    num_cores = os.cpu_count() or 1
    rows = [Row(number, 1) for number in arguments.devices]
    if num_cores > 1:
        rows.append(Row(1, num_cores))
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        data = arguments.data or list_some(scratch)
        for number in range(arguments.rounds):
            for row in rows:
                train_once(row, data, scratch / f"{number}-{row.num_processes}-{row.num_threads}", arguments, rows)
    print("| processes | threads each | clips/s | times the first | fastest, clips/s | times the first's | waiting |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        pairs = zip(row.clips_per_second, rows[0].clips_per_second, strict=True)
        ratios = [mine / first for mine, first in pairs]
        print(
            f"| {row.num_processes} | {row.num_threads} | {statistics.median(row.clips_per_second):.2f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
            f"| {max(row.clips_per_second):.2f} | {max(row.clips_per_second) / max(rows[0].clips_per_second):.2f} "
            f"| {statistics.median(row.waiting_share):.0%} |"
        )
    print(f"\nmedians of {arguments.rounds} rounds; {num_cores} cores, torch {torch.__version__}")


def list_some(scratch: Path) -> Path:
    """A list of a part of the demo set, all classes alike."""
    render_demo_data(scratch / "demo")
    clips = sorted(load_dataset(scratch / "demo").clips, key=lambda clip: (clip.path.stem[-3:], clip.group, clip.label))
    path = scratch / "clips.csv"
    path.write_text("".join(f"{clip.path},{clip.label}\n" for clip in clips[:NUM_CLIPS]), encoding="utf-8")
    return path


def train_once(row: Row, data: Path, out: Path, arguments: argparse.Namespace, rows: list[Row]) -> None:
    """Train as the row says, and note how fast."""
    num_batches = max(each.num_processes for each in rows)
    settings = [
        *(NETWORK if arguments.recipe == "resnet18-gru" else ()),
        *arguments.overrides,
        f"training.batch_size={CLIPS_PER_STEP // num_batches}",
        f"training.accumulate={num_batches // row.num_processes}",
        f"training.epochs={NUM_EPOCHS}",
        f"training.patience={NUM_EPOCHS}",
    ]
    command = [sys.executable, "-m", "videoclf", "train", str(data), "--recipe", arguments.recipe, "--out", str(out)]
    command += ["--device", "cpu", "--devices", str(row.num_processes), "--split", "none"]
    command += [part for setting in settings for part in ("--set", setting)]
    # processes share out what torch would take
    environment = {**os.environ, "OMP_NUM_THREADS": str(row.num_processes * row.num_threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    with (out / "log.csv").open(encoding="utf-8") as log:
        epochs = list(csv.DictReader(log))[1:]
    row.clips_per_second.append(statistics.median(float(epoch["clips_per_second"]) for epoch in epochs))
    row.waiting_share.append(statistics.median(float(epoch["waiting_share"]) for epoch in epochs))


if __name__ == "__main__":
    main()
