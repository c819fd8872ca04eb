"""Whether a change of the code leaves its results unchanged to the last digit: kept before, compared after.

    PYTHONPATH=CHECKOUT python -P benchmarks/same_results.py keep OUT CLIPS... [--train FOLDER]
    python benchmarks/same_results.py compare BEFORE AFTER

``keep`` writes into OUT the results of the package on the path: the predictions of all CLIPS with torch and with
OpenVINO (``predict --json``), and the weights, header, figures and predictions of two training runs, ``tiny`` for 3
epochs and the default recipe on 30 clips. ``compare`` fails if anything differs except times, dates and the names of
renamed keys.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

ENGINES = ("torch", "openvino")
NUM_DEFAULT_CLIPS = 30
TRAININGS = {
    "tiny": ["--recipe", "tiny", "--set", "training.epochs=3"],
    "default": ["--recipe", "mobilenet_v2-gru"],
}
UNLIKE = frozenset({"seconds", "clips_per_second", "waiting_share", "peak_memory_bytes", "environment", "data"})
"""Keys, or columns, whose values differ from run to run, or with the machine and the folder."""

WORDS = frozenset({"warnings", "message"})
"""Keys of JSON objects whose values are sentences: these may be put in other words, their number may not change."""


def main() -> None:
    """Keep, or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    keep_parser = commands.add_parser("keep")
    keep_parser.add_argument("out", type=Path)
    keep_parser.add_argument("clips", nargs="+")
    keep_parser.add_argument("--train", type=Path, metavar="FOLDER", help="CLASS/clip folders; default: no training")
    compare_parser = commands.add_parser("compare")
    compare_parser.add_argument("before", type=Path)
    compare_parser.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "keep":
        keep(arguments.out, arguments.clips, arguments.train)
    else:
        sys.exit(compare(arguments.before, arguments.after))


def keep(out: Path, clips: list[str], train: Path | None) -> None:
    """All of it, into a folder that is not there yet."""
    out.mkdir(parents=True)
    for engine in ENGINES:
        lines = run("predict", *clips, "--engine", engine, "--top-k", "1000", "--json")
        (out / f"predictions-{engine}.jsonl").write_text(lines, encoding="utf-8")
    if train is None:
        return
    listed = out / "thirty.csv"
    by_class = [sorted(folder.iterdir()) for folder in sorted(train.iterdir()) if folder.is_dir()]
    in_turn = (path for row in zip(*by_class, strict=False) for path in row)
    rows = [f"{path.resolve()},{path.parent.name}\n" for path in islice(in_turn, NUM_DEFAULT_CLIPS)]
    listed.write_text("".join(["path,label\n", *rows]), encoding="utf-8")
    for name, flags in TRAININGS.items():
        data = listed if name == "default" else train
        run("train", str(data), "--out", str(out / name), "--no-cache", *flags)


def run(*command: str) -> str:
    """Standard output of a whole process; what it says besides goes to standard error."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "videoclf", *command], stdout=subprocess.PIPE, text=True, env=environment,
        check=False,
    )  # fmt: skip
    print(f"exit code {done.returncode}: videoclf {' '.join(command[:2])} ...", file=sys.stderr)
    return done.stdout


def compare(before: Path, after: Path) -> int:
    """How many files differ; each is named with its first difference."""
    num_unlike = 0
    for engine in ENGINES:
        name = f"predictions-{engine}.jsonl"
        num_unlike += report(name, json_lines(before / name), json_lines(after / name))
    for training in TRAININGS:
        if not (before / training).exists():
            print(f"{training}: not kept before")
            continue
        for name in ("metrics.json", "predictions.jsonl", "split.json", "log.csv"):
            old, new = before / training / name, after / training / name
            read = {"metrics.json": json_lines, "predictions.jsonl": json_lines}.get(name, text_lines)
            num_unlike += report(f"{training}/{name}", read(old), read(new))
        num_unlike += report(
            f"{training}/model.safetensors",
            tensors(before / training / "model.safetensors"), tensors(after / training / "model.safetensors"),
        )  # fmt: skip
    return num_unlike


def report(name: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Print whether they are equal; True where not."""
    unlike = [key for key in {**old, **new} if key not in old or key not in new or old[key] != new[key]]
    print(f"{name}: {len(old)} values, {f'{len(unlike)} DIFFER' if unlike else 'equal'}")
    for key in unlike[:5]:
        print(f"  {key}: {str(old.get(key, 'absent'))[:200]} -> {str(new.get(key, 'absent'))[:200]}")
    return bool(unlike)


def json_lines(path: Path) -> dict[str, Any]:
    """Each line, or the whole document, by its place in it; times left out."""
    text = path.read_text(encoding="utf-8")
    documents = [json.loads(text)] if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    values: dict[str, Any] = {}
    for number, document in enumerate(documents, start=1):
        for key, value in flat(document):
            values[f"{number}: {key}"] = value
    return values


def flat(tree: Any, key: str = "") -> list[tuple[str, Any]]:
    """The leaves of a JSON value."""
    if isinstance(tree, dict):
        kept = {
            name: f"{len(value)} of {type(value).__name__}" if name in WORDS and isinstance(value, list) else value
            for name, value in tree.items()
            if name not in UNLIKE and not (name in WORDS and isinstance(value, str))
        }
        return [leaf for name, value in kept.items() for leaf in flat(value, f"{key}.{name}")]
    if isinstance(tree, list):
        return [leaf for number, value in enumerate(tree) for leaf in flat(value, f"{key}[{number}]")]
    return [(key, tree)]


def text_lines(path: Path) -> dict[str, Any]:
    """Lines by number; of a CSV table, without the columns that are times."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix == ".csv":
        names = lines[0].split(",")
        kept = [i for i, name in enumerate(names) if name not in UNLIKE]
        lines = [",".join(line.split(",")[i] for i in kept) for line in lines]
    return {str(number): line for number, line in enumerate(lines, start=1)}


def tensors(path: Path) -> dict[str, Any]:
    """Every weight as bytes, and the header's leaves but its recipe's."""
    with safe_open(path, framework="numpy") as file:
        values: dict[str, Any] = {name: np.asarray(file.get_tensor(name)).tobytes() for name in file.keys()}  # noqa: SIM118
        header = json.loads(file.metadata()["videoclf"])
    for key in ("recipe", "format_version"):  # keys may have got new names: tests compare what they mean
        header.pop(key)
    return values | {f"header{key}": value for key, value in flat(header)}


if __name__ == "__main__":
    main()
