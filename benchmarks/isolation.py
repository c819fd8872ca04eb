"""The cost of decoding in child processes.

    python benchmarks/isolation.py FOLDER-OF-VIDEOS... [--fps 10] [--rounds 5]

Each clip is read both ways in turn, so that other load on the machine affects both alike. One line for each folder or
file: the median over its clips of the best round, from opening to closing. Then the time that a child takes to start.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from videoclf.media.isolated import IsolatedVideo
from videoclf.media.isolated_pool import children
from videoclf.media.sources import videos_below
from videoclf.media.video import Video

_NUM_STARTS = 10


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="The cost of decoding in child processes.")
    parser.add_argument("sources", type=Path, nargs="+", help="folders with videos, or videos")
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print("| clips | frames a clip | here, ms | isolated, ms | more, ms a clip | more, ms a frame |")
    print("| --- | --- | --- | --- | --- | --- |")
    for source in arguments.sources:
        print_row(source, arguments.fps, arguments.rounds)
    start_ms = 1e3 * statistics.median(seconds_of(start_a_child) for _ in range(_NUM_STARTS))
    print(f"a child starts in {start_ms:.0f} ms (median of {_NUM_STARTS})")


def print_row(source: Path, fps: float, rounds: int) -> None:
    """Both ways over all clips of one folder."""
    paths = videos_below(source) if source.is_dir() else [source]
    read(IsolatedVideo, paths[0], fps)  # the child starts outside of what is timed
    here_ms, isolated_ms, num_frames = [], [], []
    for path in paths:
        num_frames.append(read(Video, path, fps))
        here, isolated = alternate(rounds, partial(read, Video, path, fps), partial(read, IsolatedVideo, path, fps))
        here_ms.append(1e3 * here)
        isolated_ms.append(1e3 * isolated)
    here, isolated, frames = (statistics.median(values) for values in (here_ms, isolated_ms, num_frames))
    more = isolated - here
    print(
        f"| {source.name} ({len(paths)}) | {frames:.0f} | {here:.2f} | {isolated:.2f} | {more:.2f} "
        f"| {more / max(frames, 1):.3f} |"
    )


def read(kind: type[Video] | type[IsolatedVideo], path: Path, fps: float) -> int:
    """Open, decode one thread wide (as the reader does), count the frames, close."""
    with kind(path, num_threads=1) as video:
        return sum(1 for _ in video.frames(video.plan(fps)))


def start_a_child() -> None:
    """Until it could open a video."""
    children().discard(children().start())


def alternate(rounds: int, first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """The best seconds of each."""
    seconds = [(seconds_of(first), seconds_of(second)) for _ in range(rounds)]
    return min(pair[0] for pair in seconds), min(pair[1] for pair in seconds)


def seconds_of(action: Callable[[], object]) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
