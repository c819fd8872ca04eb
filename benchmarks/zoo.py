"""Measures every shipped recipe on this machine: parameters, FLOPs, size of the weights, and time of the network.

    python benchmarks/zoo.py            # prints the table
    python benchmarks/zoo.py --write    # also stores it in models/measured.json, which `videoclf models` shows

A clip of 16 frames at the recipe's size with all its views, random weights (they do not change the time), float32, as
in prediction (batch norms folded). The recipes take turns in each round, so that other load on the machine affects all
of them; medians are printed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe
from videoclf.zoo import downloadable_names, find_recipe, models_folder, recipe_names

NUM_FRAMES = 16


def main() -> None:
    """Measure, print, and keep if asked."""
    parser = argparse.ArgumentParser(description="Measure the networks of the shipped recipes on this machine.")
    parser.add_argument("--write", action="store_true", help="store the figures in models/measured.json")
    parser.add_argument("--rounds", type=int, default=5, help="number of timings of each network")
    arguments = parser.parse_args()
    recipes = {name: load_recipe(find_recipe(name)) for name in recipe_names()}
    networks = {name: build(recipe, name) for name, recipe in recipes.items()}
    clips = {name: torch.randn(num_looks(recipe), NUM_FRAMES, *frame_shape(recipe)) for name, recipe in recipes.items()}
    figures = {name: describe(name, networks[name], clips[name]) for name in recipes}
    networks = {name: fold_batch_norms(network) for name, network in networks.items()}  # as they predict
    for name, network in networks.items():
        classify(network, clips[name])  # warms up
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    for _ in range(arguments.rounds):
        for name in recipes:
            started = time.perf_counter()
            classify(networks[name], clips[name])
            seconds[name].append(time.perf_counter() - started)
    print(f"{'recipe':26} {'parameters':>11} {'GFLOPs':>7} {'file MB':>8} {'median ms':>10} {'min':>6} {'max':>6}")
    for name, entry in figures.items():
        entry["network_ms"] = round(1000 * statistics.median(seconds[name]), 1)
        print(
            f"{name:26} {entry['num_parameters'] / 1e6:10.2f}M {entry['gflops']:7.1f} {entry['size_bytes'] / 1e6:8.1f} "
            f"{entry['network_ms']:10.0f} {1000 * min(seconds[name]):6.0f} {1000 * max(seconds[name]):6.0f}"
        )
    if arguments.write:
        path = models_folder() / "measured.json"
        path.write_text(json.dumps({"how": conditions(arguments.rounds), "models": figures}, indent=1) + "\n")
        print(f"written to {path}")


def build(recipe: Recipe, name: str) -> VideoClassifier:
    """The recipe's network with as many classes as it will have: Kinetics' 400, or UCF101's 101."""
    return build_classifier(recipe, 400 if name in downloadable_names() else 101).eval()


def frame_shape(recipe: Recipe) -> tuple[int, int, int]:
    """Channels, rows and columns of a frame as the network sees it."""
    spec = recipe.preprocess
    return 3 * len(spec.channels), spec.height, spec.width


def num_looks(recipe: Recipe) -> int:
    """How often a prediction looks at a clip: twice where its mirror image is looked at, too."""
    return 2 if recipe.testing.horizontal_flip else 1


@torch.inference_mode()
def classify(network: VideoClassifier, clips: torch.Tensor) -> None:
    """Run the network on one clip, as often as a prediction does."""
    network(clips, torch.tensor([NUM_FRAMES]).expand(len(clips)))


def describe(name: str, network: VideoClassifier, clips: torch.Tensor) -> dict[str, Any]:
    """What can be counted."""
    with FlopCounterMode(display=False) as counter:
        classify(network, clips)
    parameters = list(network.parameters())
    return {
        **published(name),
        "num_parameters": sum(parameter.numel() for parameter in parameters),
        "size_bytes": sum(parameter.numel() * parameter.element_size() for parameter in parameters),
        "gflops": round(counter.get_total_flops() / 1e9, 2),
    }


def published(name: str) -> dict[str, Any]:
    """What torchvision says of a model whose weights are its own."""
    if name not in downloadable_names():
        return {}
    meta: Any = torchvision.models.get_model_weights(name.removeprefix("kinetics400-")).DEFAULT.meta
    return {
        "num_classes": len(meta["categories"]),
        "figures": {"published_top1": round(meta["_metrics"]["Kinetics-400"]["acc@1"] / 100, 5)},
    }


def conditions(num_rounds: int) -> dict[str, str]:
    """What a reader needs to judge the figures."""
    return {
        "command": f"python benchmarks/zoo.py --rounds {num_rounds} --write",
        "clip": f"{NUM_FRAMES} frames at the recipe's size, float32, evaluation; a multiply-add is two FLOPs",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{cpu_name()}, {torch.get_num_threads()} threads",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}",
    }


def cpu_name() -> str:
    """As the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
