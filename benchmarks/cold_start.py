"""How long one prediction takes in a new process, and where the time goes.

    python benchmarks/cold_start.py CLIP [--rounds 5] [--model NAME|FILE]

The commands take turns in each round; medians are printed. The file cache is warm, and OpenVINO's conversion is done
before; its time is printed separately, with a cache of its own. The steps are timed in other processes, which do the
same step by step.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise

ENGINES = ("openvino", "torch")
STEPS = ("interpreter", "imports", "model", "reading", "network", "end")


def main() -> None:
    """Print both tables, or be a process of the second."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", metavar="CLIP")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", metavar="NAME|FILE")
    parser.add_argument("--split", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.split:
        print(*step_by_step(arguments.split, arguments.model, arguments.clip, arguments.started))
        return
    model = ["--model", arguments.model] if arguments.model else []
    predict = {engine: ["-m", "videoclf", "predict", arguments.clip, "--engine", engine, *model] for engine in ENGINES}
    commands = {
        "videoclf --help": ["-m", "videoclf", "--help"],
        **{f"videoclf predict --engine {engine}": command for engine, command in predict.items()},
        'python -c "import torch, torchvision"': ["-c", "import torch, torchvision"],
    }
    for command in commands.values():
        seconds_of(command)
    print_conversion(predict["openvino"])
    rounds = [{name: seconds_of(command) for name, command in commands.items()} for _ in range(arguments.rounds)]
    print("\n| | median | least |\n| --- | --- | --- |")
    for name in commands:
        turns = [measured[name] for measured in rounds]
        print(f"| `{name}` | {statistics.median(turns):.2f} s | {min(turns):.2f} s |")
    print_split(arguments.clip, model, arguments.rounds)


def print_conversion(predict: Sequence[str]) -> None:
    """The first use of a model, with nothing kept."""
    with tempfile.TemporaryDirectory() as cache:
        print(f"the first use, conversion included: {seconds_of(predict, VIDEOCLF_CACHE=cache):.1f} s")


def print_split(clip: str, model: Sequence[str], num_rounds: int) -> None:
    """Milliseconds of each step."""
    print(f"\n| ms | {' | '.join(STEPS)} |\n|{' --- |' * (len(STEPS) + 1)}")
    for engine in ENGINES:
        rounds: list[list[float]] = []
        for _ in range(num_rounds):
            command = [sys.executable, __file__, clip, "--split", engine, *model, "--started", str(time.time())]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            ended = time.time()
            *times, done = map(float, output.split())
            rounds.append([*times, (ended - done) * 1e3])
        print(f"| {engine} | {' | '.join(f'{statistics.median(turn):.0f}' for turn in zip(*rounds, strict=True))} |")


def seconds_of(command: Sequence[str], **environment: str) -> float:
    """A whole process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=os.environ | environment)
    return time.perf_counter() - started


def step_by_step(engine: str, model_name: str | None, clip: str, started: float) -> list[float]:
    """Milliseconds of all steps but the last, and when that began."""
    marks = [started, time.time()]
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does
    from pathlib import Path

    import videoclf.cli.main
    from videoclf.inference.model import load
    from videoclf.inference.pipeline import clip_request
    from videoclf.media.reader import ReadWindow, read_clips

    if engine == "torch":
        import videoclf.inference.engines.torch_engine
        import videoclf.modeling.open_model  # noqa: F401
    marks.append(time.time())
    model = load(model_name, engine=engine)
    marks.append(time.time())
    items = read_clips([clip_request(Path(clip), model.recipe)], model._engine.preprocess, num_threads=1)
    windows = [item.value for item in items if isinstance(item, ReadWindow)]
    marks.append(time.time())
    model._engine.logits(windows)
    marks.append(time.time())
    return [*[(end - begin) * 1e3 for begin, end in pairwise(marks)], marks[-1]]


if __name__ == "__main__":
    main()
