"""Does the recurrent part use the order of frames in real footage? The same frames, forwards and backwards.

    python benchmarks/order.py WEIZMANN --out DIR [--seeds N] [--recipe NAME|FILE] [--set KEY=VALUE]...

A new set is made from Weizmann's clips, without loss. *bend* is cut in the middle: its first half and its reversed
second half are "down", its second half and its reversed first half are "up". *walk*, *run*, *skip* and *jump* are used
forwards and backwards. So every frame of the set is in both classes of its pair, and only the order separates them:
without it, half of the clips can be correct. Then three cross-validations over people, with the backbone's input
limited to single frames (RGB, because gray triplets would show the direction): the recipe, the mean in place of its
GRU, and the recipe with frames shuffled in time.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

import videoclf
from videoclf.evaluation.cross_validated import FoldRecord, Spread

Frames = npt.NDArray[np.uint8]

_FPS = 25
_PLAYED = ("walk", "run", "skip", "jump")

_SINGLE_FRAMES = ('preprocess.channels=["rgb"]', "testing.horizontal_flip=false")
"""What all three share; mirror images, which the recipe judges too, would only double the time."""

_VARIANTS = {
    "GRU": (),
    "mean instead of the GRU": ("temporal.kind=mean",),
    "GRU, frames shuffled in time": ("sampling.order=shuffled",),
}


def main() -> None:
    """Make the set, cross-validate three times, print a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("weizmann", type=Path, metavar="WEIZMANN", help="CLASS/PERSON_CLASS.avi")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--recipe", default="mobilenet_v2-gru", metavar="NAME|FILE")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    data = arguments.out / "data"
    print(f"{make_data(arguments.weizmann, data)} clips in {data}; chance within a pair is 0.5")
    for name, changes in _VARIANTS.items():
        out = arguments.out / name.replace(" ", "-").replace(",", "")
        videoclf.crossval(
            data,
            out=out,
            recipe=arguments.recipe,
            overrides=[*_SINGLE_FRAMES, *arguments.overrides, *changes],
            group_regex=r"^([a-z]+)_",
            num_seeds=arguments.seeds,
            allow_leaks=True,  # none between people; the search would find that each clip is there backwards
            on_fold=_print_fold,
        )
        figures = "  ".join(f"{pair} {spread}" for pair, spread in top1_by_pair(out).items())
        print(f"{name:32} {figures}", flush=True)


def top1_by_pair(folder: Path) -> dict[str, Spread]:
    """Of the clips of each pair (its two classes and their actions' name), the share that was right, over the seeds."""
    right: dict[str, dict[int, list[bool]]] = {}
    for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines():
        clip = json.loads(line)
        pair = clip["label"].partition("-")[0]
        right.setdefault(pair, {}).setdefault(clip["seed"], []).append(clip["label"] == clip["called"])
    return {
        pair: Spread.of([sum(clips) / len(clips) for _, clips in sorted(by_seed.items())])
        for pair, by_seed in sorted(right.items())
    }


def make_data(weizmann: Path, out: Path) -> int:
    """The set described above, as ``CLASS/PERSON_WHAT.mkv``; returns its number of clips."""
    clips: dict[str, Frames] = {}
    for action in _PLAYED:
        for path in sorted((weizmann / action).glob("*.avi")):
            frames = videoclf.read_video(path, fps=_FPS).rgb
            clips[f"{action}-forwards/{path.stem}_forwards"] = frames
            clips[f"{action}-backwards/{path.stem}_backwards"] = frames[::-1]
    for path in sorted((weizmann / "bend").glob("*.avi")):
        frames = videoclf.read_video(path, fps=_FPS).rgb
        first, second = frames[: len(frames) // 2], frames[len(frames) // 2 :]
        clips[f"bend-down/{path.stem}_first"] = first
        clips[f"bend-down/{path.stem}_second_backwards"] = second[::-1]
        clips[f"bend-up/{path.stem}_second"] = second
        clips[f"bend-up/{path.stem}_first_backwards"] = first[::-1]
    for name, frames in clips.items():
        target = out / f"{name}.mkv"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            _write(target, frames)
    return len(clips)


def _write(path: Path, frames: Frames) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=_FPS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.time_base = "bgr0", Fraction(1, _FPS)
        for i, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _print_fold(record: FoldRecord, num_done: int, num_folds: int) -> None:
    print(f"  {num_done} of {num_folds}: {record.num_correct} of {len(record.clips)} right", end="\r", flush=True)


if __name__ == "__main__":
    main()
