"""What few clips give: a recipe with 5, 10, … training clips of each class, beside the linear probe on the same clips.

    python benchmarks/few_clips.py DATA --out DIR [--clips 5 10] [--seeds 3] [--by group] [--group-regex REGEX]
        [--recipe NAME|FILE] [--set KEY=VALUE]...

Cross-validates as ``videoclf crossval`` does, with the same test parts; of the training side of each fold, so many
clips of each class are drawn to train on, and a quarter as many to validate on (the probe is fitted to both). Prints a
Markdown table: top-1 of the network and the probe, and their difference with its standard error over groups. Finished
folds are kept in DIR, so an interrupted run continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import videoclf
from videoclf.data.dataset import LabelledClip
from videoclf.data.folds import Fold, make_folds


def few(clips: Sequence[LabelledClip], num: int, seed: int) -> tuple[LabelledClip, ...]:
    """At most so many clips of each class, drawn at random."""
    rng = np.random.default_rng(seed)
    kept: dict[str, int] = {}
    chosen = []
    for i in rng.permutation(len(clips)):
        label = clips[i].label
        kept[label] = kept.get(label, 0) + 1
        if kept[label] <= num:
            chosen.append(clips[i])
    return tuple(sorted(chosen, key=lambda clip: str(clip.path)))


def with_few_clips(num: int) -> Callable[..., list[Fold]]:
    """`make_folds`, with fewer clips on the training side of each."""

    def folds_of(*args: Any, **more: Any) -> list[Fold]:
        return [
            replace(
                fold,
                split=replace(
                    fold.split,
                    train=few(fold.split.train, num, seed=number),
                    validation=few(fold.split.validation, max(1, num // 4), seed=number),
                ),
            )
            for number, fold in enumerate(make_folds(*args, **more))
        ]

    return folds_of


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, nargs="+", default=[5, 10])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--by", default="group")
    parser.add_argument("--group-regex")
    parser.add_argument("--recipe")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    args = parser.parse_args()
    print("| clips of each class | network | linear probe | difference | calibration error, before → after |")
    print("| --- | --- | --- | --- | --- |")
    for num in args.clips:
        with mock.patch("videoclf.cross_validation.crossval.make_folds", with_few_clips(num)):
            found = videoclf.crossval(
                args.data, out=args.out / f"{num}", recipe=args.recipe, overrides=args.overrides, by=args.by,
                num_seeds=args.seeds, group_regex=args.group_regex, workers=1,
            )  # fmt: skip
        beside = found.linear_probe
        assert beside is not None, "the recipe trains its backbone: there is no probe"
        difference = f"{beside.difference:+.3f} ± {beside.standard_error:.3f}"
        calibration = f"{found.ece_uncalibrated.mean:.3f} → {found.ece.mean:.3f}"
        print(f"| {num} | {found.top1} | {beside.probe_top1:.3f} | {difference} | {calibration} |", flush=True)


if __name__ == "__main__":
    main()
