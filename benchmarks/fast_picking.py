"""The effect of `--fast` on labels: every clip of a folder predicted twice, with exact and with fast frame selection.

    python benchmarks/fast_picking.py FOLDER... [--model NAME|FILE]

For each folder ``CLASS/clip``: on how many clips the best class changes, how far its score moves, how many frames are
shifted and how far; and, where class names are the model's labels, how many clips are correct either way.
"""

from __future__ import annotations

import argparse
import re
import statistics
from pathlib import Path

from videoclf import Prediction, load
from videoclf.media.options import Picking, ReadOptions
from videoclf.media.sources import videos_below


def main() -> None:
    """Print a line a folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    model = load(arguments.model)
    print(
        f"{'folder':16} {'clips':>6} {'other label':>12} {'score moves':>12} {'right exact':>12} {'right fast':>11} "
        "largest shift"
    )
    for folder in arguments.folders:
        paths = videos_below(folder)
        both = [
            [
                outcome
                for outcome in model.predict_many(paths, reading=ReadOptions(picking=picking))
                if isinstance(outcome, Prediction)
            ]
            for picking in (Picking.EXACT, Picking.FAST)
        ]
        exact, fast = both
        pairs = list(zip(exact, fast, strict=True))
        changed = sum(first.label != second.label for first, second in pairs)
        moved = statistics.mean(abs(first.score - second.score) for first, second in pairs)
        right = [sum(Path(outcome.source).parent.name == outcome.label for outcome in outcomes) for outcomes in both]
        shifts = [float(found[1]) for p in fast for w in p.warnings if (found := re.search(r"up to ([\d.]+) s", w))]
        print(
            f"{folder.name:16} {len(pairs):6} {changed:12} {moved:12.4f} {right[0]:12} {right[1]:11} "
            f"{max(shifts, default=0):.3f} s, in {len(shifts)} clips"
        )


if __name__ == "__main__":
    main()
