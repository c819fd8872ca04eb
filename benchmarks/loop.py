"""The overhead of the training loop: `videoclf.training.loop.trainer.Trainer` and a bare torch loop on the same data.

    python benchmarks/loop.py [--rounds 9] [--clips 96] [--steps 32] [--features 1280]

Both train the same network (`mobilenet_v2-gru`'s GRU and head) on the same random features, held in memory, all of one
length, so that neither gains by batching. Both shuffle, do not crop, clip gradients and use AdamW. They take turns, one
epoch each in a round. Checkpoints every minute and the display are not part of it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from videoclf.data.dataset import LabelledClip
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.temporal.gru import TemporalModel
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.temporal import Temporal
from videoclf.training.examples.decoded import Draw, Example, Views
from videoclf.training.loop.trainer import Trainer

NUM_CLASSES = 6

Seen = TypeVar("Seen")


class InMemory:
    """Examples that are there already; a single short one validates."""

    def __init__(self, features: dict[LabelledClip, Tensor]) -> None:
        self._features = features

    def for_training(self, draws: Sequence[Draw]) -> Iterator[Example | None]:
        """See `Examples`."""
        for draw in draws:
            yield Example(self._features[draw.clip], draw.clip.label)

    def for_validation(
        self, clips: Sequence[LabelledClip], look: Callable[[Views, int], Seen]
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        """See `Examples`."""
        for clip in clips:
            yield clip, [look((self._features[clip][:1],), 1)]


def main() -> None:
    """Let both take turns, print the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--features", type=int, default=1280)
    arguments = parser.parse_args()
    labels = [str(number) for number in range(NUM_CLASSES)]
    clips = [LabelledClip(Path(f"{i}.avi"), labels[i % NUM_CLASSES], None) for i in range(arguments.clips)]
    features = {clip: torch.randn(arguments.steps, arguments.features) for clip in clips}
    recipe = Recipe.model_validate(
        {
            "temporal": {"projection_size": 96, "hidden_size": 64, "bidirectional": True, "pooling": "attention"},
            "training": {"epochs": 10_000, "patience": 10_000, "batch_size": 16},
        }
    )
    trainer = Trainer(
        Fabric(accelerator="cpu", devices=1), build(recipe.temporal, arguments.features), InMemory(features), labels,
        recipe.training, on_features=True,
    )  # fmt: skip
    ours = trainer.epochs(clips, clips[:1])
    bare = bare_epochs(
        build(recipe.temporal, arguments.features), list(features.values()), [int(clip.label) for clip in clips], recipe
    )
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(arguments.rounds + 1):
        for name, epochs in (("bare", bare), ("ours", ours)):
            started = time.perf_counter()
            next(epochs)
            seconds[name].append(time.perf_counter() - started)
    ratios = [mine / plain for mine, plain in zip(seconds["ours"][1:], seconds["bare"][1:], strict=True)]
    for name, values in seconds.items():
        print(f"{name}: {statistics.median(values[1:]) * 1e3:.0f} ms an epoch (median of {arguments.rounds})")
    print(f"ours / bare: {statistics.median(ratios):.3f} (median), {min(ratios):.3f} to {max(ratios):.3f}")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")


def build(spec: Temporal, num_features: int) -> VideoClassifier:
    """The trained part of the network; nothing stands before it."""
    torch.manual_seed(0)
    temporal = TemporalModel(num_features, spec)
    return VideoClassifier(nn.Identity(), temporal, nn.Linear(temporal.output_size, NUM_CLASSES))


def bare_epochs(network: VideoClassifier, clips: list[Tensor], targets: list[int], recipe: Recipe) -> Iterator[float]:
    """What anyone would write."""
    settings = recipe.training
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, fused=True)
    network.train()
    while True:
        total = 0.0
        for chosen in torch.split(torch.randperm(len(clips)), settings.batch_size):
            batch = nn.utils.rnn.pad_sequence([clips[i] for i in chosen], batch_first=True)
            num_steps = torch.tensor([len(clips[i]) for i in chosen])
            loss = cross_entropy(network.classify(batch, num_steps), torch.tensor([targets[i] for i in chosen]))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), settings.gradient_clip_norm)
            optimizer.step()
            total += float(loss.detach()) * len(chosen)
        yield total / len(clips)


if __name__ == "__main__":
    main()
