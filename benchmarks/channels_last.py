"""A training step in torch's default memory layout and in channels-last, which videoclf uses for training.

    python benchmarks/channels_last.py [--rounds 9] [--frames 16] [--side 112] [--device cpu] [NETWORK...]

Forward pass, backward pass and AdamW's step of a whole network (backbone, GRU, head) on the same random clips. The
layouts take turns in each round, and the ratio is taken within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.recipe import Recipe

NETWORKS = ("tiny", "mobilenet_v2", "efficientnet_b0", "resnet18", "regnet_y_400mf", "convnext_tiny")
LAYOUTS = {"default": torch.contiguous_format, "channels-last": torch.channels_last}
NUM_CLIPS = 2


def main() -> None:
    """Let the layouts take turns, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--frames", type=int, default=16, help="number of frames of all clips together")
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    lengths = torch.full((NUM_CLIPS,), arguments.frames // NUM_CLIPS, device=device)
    clips = torch.randn(NUM_CLIPS, arguments.frames // NUM_CLIPS, 3, arguments.side, arguments.side, device=device)
    print("| network | default, ms | channels-last, ms | channels-last / default |")
    print("| --- | --- | --- | --- |")
    for name in arguments.networks:
        ways = {layout: Way(name, layout, device) for layout in LAYOUTS}
        for _ in range(arguments.rounds + 1):
            for way in ways.values():
                way.step(clips, lengths)
        default, last = (way.milliseconds[1:] for way in ways.values())
        ratios = [mine / plain for mine, plain in zip(last, default, strict=True)]
        print(
            f"| {name} | {statistics.median(default):.0f} | {statistics.median(last):.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
    print(f"\nmedians of {arguments.rounds} rounds; {torch.get_num_threads()} threads, torch {torch.__version__}")


class Way:
    """One network in one layout, with the times of its steps."""

    def __init__(self, name: str, layout: str, device: torch.device) -> None:
        torch.manual_seed(0)
        self._network: VideoClassifier = build_classifier(Recipe.model_validate({"backbone": {"name": name}}), 2)
        self._network.to(device).to(memory_format=LAYOUTS[layout]).train()
        self._optimizer = torch.optim.AdamW(self._network.parameters(), fused=True)
        self.milliseconds: list[float] = []

    def step(self, clips: Tensor, lengths: Tensor) -> None:
        """One step, and how long it took."""
        started = time.perf_counter()
        self._optimizer.zero_grad(set_to_none=True)
        logits = self._network(clips, lengths)
        torch.autograd.backward(cross_entropy(logits, torch.arange(len(lengths), device=clips.device)))
        self._optimizer.step()
        if clips.device.type == "cuda":
            torch.cuda.synchronize(clips.device)
        self.milliseconds.append((time.perf_counter() - started) * 1e3)


if __name__ == "__main__":
    main()
