"""How each decoder handles a folder of unusual videos: frames, warnings, typed errors, and time.

    python benchmarks/odd_files.py [FOLDER]

Every file below the folder (default: ``shared/data/odd`` beside the checkout) is read twice by every decoder: at four
sample times spread over it, and at its own rate, at most 60 frames a second. Prints a line for each file, then a table.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from videoclf.errors import MediaError, VideoclfError
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

DEFAULT_FOLDER = Path(__file__).parents[2] / "shared" / "data" / "odd"
NUM_SPARSE_FRAMES = 4
MAX_FPS = 60.0


@dataclass(frozen=True)
class Outcome:
    """What one file gave."""

    path: Path
    num_frames: int
    num_warnings: int
    error: str
    """The error's class; empty where there was none."""
    num_seconds: float


def main() -> None:
    """Print a line for each file and way of reading, then a table for each decoder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".json")
    if not paths:
        sys.exit(f"{folder}: holds no files; name a folder with videos")
    tables = []
    for decoder in DecoderName:
        for way, num_frames in (("4 frames", NUM_SPARSE_FRAMES), ("all frames", None)):
            try:
                outcomes = [read_file(path, decoder, num_frames) for path in paths]
            except VideoclfError as error:  # of the machine, not of a file
                print(f"{decoder}: {error}")
                break
            for outcome in outcomes:
                print_outcome(decoder, way, folder, outcome)
            tables.append((decoder, way, outcomes))
    print(f"\n| decoder | read | with frames | of them with warnings | refused ({len(paths)} files) | s | slowest |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for decoder, way, outcomes in tables:
        print_row(decoder, way, folder, outcomes)


def read_file(path: Path, decoder: DecoderName, num_frames: int | None) -> Outcome:
    """Read a file at so many times; None: at its own rate."""
    started = time.perf_counter()
    num_frames, num_warnings, error_name = 0, 0, ""
    try:
        with Video(path, ReadOptions(decoder=decoder), num_threads=1) as video:
            spread = np.linspace(0, 0.97 * video.info.duration_seconds, num_frames or 1)
            plan = SamplingPlan(spread, 1) if num_frames else video.plan(min(video.info.average_fps, MAX_FPS))
            num_frames = sum(1 for _ in video.frames(plan))
            num_warnings = len(video.warnings)
    except MediaError as error:
        error_name = type(error).__name__
    return Outcome(path, num_frames, num_warnings, error_name, time.perf_counter() - started)


def print_outcome(decoder: DecoderName, way: str, folder: Path, outcome: Outcome) -> None:
    """One line for one file."""
    name = outcome.path.relative_to(folder)
    result = outcome.error or f"{outcome.num_frames} frames, {outcome.num_warnings} warnings"
    print(f"{decoder:10} {way:10} {outcome.num_seconds:7.2f} s  {name}: {result}")


def print_row(decoder: DecoderName, way: str, folder: Path, outcomes: list[Outcome]) -> None:
    """One row of the table."""
    with_frames = [outcome for outcome in outcomes if not outcome.error]
    num_warned = sum(outcome.num_warnings > 0 for outcome in with_frames)
    refused = Counter(outcome.error for outcome in outcomes if outcome.error)
    errors = ", ".join(f"{count} {name}" for name, count in sorted(refused.items())) or "none"
    slowest = max(outcomes, key=lambda outcome: outcome.num_seconds)
    total = sum(outcome.num_seconds for outcome in outcomes)
    worst = f"{slowest.num_seconds:.1f} s: {slowest.path.relative_to(folder)}"
    print(f"| {decoder} | {way} | {len(with_frames)} | {num_warned} | {errors} | {total:.0f} | {worst} |")


if __name__ == "__main__":
    main()
