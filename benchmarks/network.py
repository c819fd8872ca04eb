"""How long a model's network takes for one window, engine by engine, without preprocessing and decoding.

    python benchmarks/network.py [--model NAME|FILE] [--frames 16] [--rounds 15] [--engine torch]...

Frames are noise, which does not change the time; the engines take turns; milliseconds; float32, unless the model file
says otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from videoclf.inference.options import EngineName
from videoclf.inference.selection import open_engine
from videoclf.media.frames import RgbFrames

HEIGHT, WIDTH = 240, 320


def main() -> None:
    """Print a line an engine."""
    parser = argparse.ArgumentParser(description="How long a model's network takes for one window.")
    parser.add_argument("--model")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--engine", action="append", type=EngineName, choices=list(EngineName))
    arguments = parser.parse_args()
    pixels = np.random.default_rng(0).integers(0, 256, (arguments.frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    frames = RgbFrames(pixels, np.arange(float(arguments.frames)), "noise")
    wanted = arguments.engine or [EngineName.OPENVINO, EngineName.TORCH]
    engines = {name: open_engine(arguments.model, engine=name, device="cpu")[0] for name in wanted}
    windows = {name: engine.preprocess(iter([frames])) for name, engine in engines.items()}
    milliseconds: dict[EngineName, list[float]] = {name: [] for name in engines}
    for number in range(arguments.rounds + 2):
        for name, engine in engines.items():
            started = time.perf_counter()
            engine.logits([windows[name]])
            if number >= 2:  # the first ones warm up
                milliseconds[name].append(1000 * (time.perf_counter() - started))
    print(f"{'engine':10} {'median ms':>10} {'min':>6} {'max':>6}  computes on")
    for name, values in milliseconds.items():
        print(
            f"{name.value:10} {statistics.median(values):10.0f} {min(values):6.0f} {max(values):6.0f}  "
            f"{engines[name].computes_on}"
        )


if __name__ == "__main__":
    main()
