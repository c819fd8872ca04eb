"""Seconds an epoch takes behind a frozen backbone: from the cache, from the videos, and as in tutorials.

    python benchmarks/train.py [FOLDER] [--rounds 3] [--recipe NAME] [--set KEY=VALUE]...

FOLDER contains ``CLASS/clip``; by default 48 rendered clips of `videoclf demo-data`. All three train the same network
on the same frames of the same clips, with batches of the recipe's size:

- tutorial: each frame was written to disk as a JPEG once; every epoch reads them (PIL, two workers), resizes with
  torchvision's transforms, pads clips in random order, and runs the backbone again;
- videos: this library without features: every epoch decodes, and runs the backbone again;
- cache: this library, with features extracted beforehand, in a process that has not read them yet, and in later epochs.

They take turns in each round. On a shared machine, set OMP_WAIT_POLICY=passive: otherwise torch's threads spin while
they wait for one another. Finally the share of padding in a batch is printed, at batches of 8, from pools of four
batches and in plain random order.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from videoclf.data.batching import make_pools
from videoclf.data.dataset import LabelledClip, load_dataset
from videoclf.data.demo import render_demo_data
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.feature_store import FeatureStore
from videoclf.inference.pipeline import clip_request
from videoclf.media.options import DEFAULT_NUM_THREADS
from videoclf.media.reader import Chunks, ReadWindow, read_clips
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.padding import pad_sequences
from videoclf.progress import SilentProgress
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.cached_features import FeatureExamples
from videoclf.training.examples.decoded import Examples, Quarantine, VideoExamples
from videoclf.training.examples.feature_encoder import FeatureEncoder
from videoclf.training.loop.trainer import Trainer
from videoclf.training.run.initialization import build_network, choose_recipe

NUM_DEMO_CLIPS = 48
NUM_WARM_EPOCHS = 5
NUM_PADDING_EPOCHS = 50
PADDING_BATCH_SIZE = 8
JPEG_QUALITY = 95

Batch = tuple[Tensor, Tensor, Tensor]


def main() -> None:
    """Prepare, let them take turns, print."""
    parser = argparse.ArgumentParser(description="Seconds an epoch takes behind a frozen backbone.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipe")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    arguments = parser.parse_args()
    # one RGB pass a frame, as in tutorials: with motion as colour, ours alone would do twice the work
    recipe = choose_recipe(arguments.recipe, None, ["preprocess.channels=['rgb']", *arguments.overrides])
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        clips = load_dataset(arguments.folder or render_some(scratch / "demo")).clips
        print_epochs(clips, recipe, scratch, arguments.rounds)


def render_some(folder: Path) -> Path:
    """A part of the demo set, all classes alike."""
    render_demo_data(folder)
    clips = load_dataset(folder).clips
    for clip in sorted(clips, key=lambda clip: (clip.path.name.partition("_g")[2], clip.label))[NUM_DEMO_CLIPS:]:
        clip.path.unlink()
    return folder


def print_epochs(clips: Sequence[LabelledClip], recipe: Recipe, scratch: Path, num_rounds: int) -> None:
    """The three ways in turn, and padding."""
    labels = sorted({clip.label for clip in clips})
    started = time.perf_counter()
    frames = write_jpegs(clips, recipe, scratch / "frames")
    print(f"{len(clips)} clips, {sum(map(len, frames))} frames; JPEGs once: {time.perf_counter() - started:.1f} s")
    cache = FeatureCache(scratch / "cache")
    started = time.perf_counter()
    lengths = [
        views[0].num_frames[0] for views in cached_examples(recipe, labels, cache, scratch)[1].ensure(clips) if views
    ]
    seconds = time.perf_counter() - started
    print(f"features once: {seconds:.1f} s, {cache.size().size_bytes / 1e6:.1f} MB; {torch.get_num_threads()} threads")

    tutorial = tutorial_epochs(build_network(recipe, len(labels)), frames, [c.label for c in clips], labels, recipe)
    videos = trainer_epochs(build_network(recipe, len(labels)), video_examples(recipe), labels, recipe, clips)
    measured: dict[str, list[float]] = {"tutorial": [], "videos": [], "cache, first": [], "cache, later": []}
    for _ in range(num_rounds):
        measured["tutorial"].append(seconds_of(lambda: next(tutorial)))
        measured["videos"].append(seconds_of(lambda: next(videos)))
        classifier, examples = cached_examples(recipe, labels, cache, scratch)  # as a new run: nothing in memory
        cached = trainer_epochs(classifier, examples, labels, recipe, clips)
        measured["cache, first"].append(seconds_of(lambda it=cached: next(it)))  # type: ignore[misc]
        later = [seconds_of(lambda it=cached: next(it)) for _ in range(NUM_WARM_EPOCHS)]  # type: ignore[misc]
        measured["cache, later"].append(statistics.median(later))
    medians = {name: statistics.median(values) for name, values in measured.items()}
    print(f"{'an epoch':14} {'median s':>9} {'least':>8} {'tutorial / this':>16}")
    for name, values in measured.items():
        print(f"{name:14} {medians[name]:9.2f} {min(values):8.2f} {medians['tutorial'] / medians[name]:16.1f}")
    pooled, shuffled = padding_shares(lengths)
    print(f"padding at batches of {PADDING_BATCH_SIZE}: {pooled:.1%} from pools of four, {shuffled:.1%} at random")


def seconds_of(action: Callable[[], object]) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def cached_examples(
    recipe: Recipe, labels: Sequence[str], cache: FeatureCache, scratch: Path
) -> tuple[VideoClassifier, FeatureExamples]:
    """A network, and examples from the cache."""
    classifier, watcher = build_network(recipe, len(labels)), SilentProgress()
    store = FeatureStore(cache, scratch, print)
    encoder = FeatureEncoder(classifier, recipe)
    return classifier, FeatureExamples(encoder, Quarantine(watcher), store, DEFAULT_NUM_THREADS, watcher)


def video_examples(recipe: Recipe) -> VideoExamples:
    """Examples that are decoded each time."""
    return VideoExamples(recipe, Quarantine(SilentProgress()), DEFAULT_NUM_THREADS, lambda: None)


def trainer_epochs(
    classifier: VideoClassifier,
    examples: Examples,
    labels: Sequence[str],
    recipe: Recipe,
    clips: Sequence[LabelledClip],
) -> Iterator[object]:
    """Epochs of the library's own loop; a single clip validates."""
    settings = recipe.training.model_copy(update={"epochs": 10_000, "patience": 10_000})
    on_features = isinstance(examples, FeatureExamples)
    fabric = Fabric(accelerator="cpu", devices=1)
    trainer = Trainer(fabric, classifier, examples, labels, settings, on_features=on_features)
    return trainer.epochs(clips, clips[:1])


def write_jpegs(clips: Sequence[LabelledClip], recipe: Recipe, folder: Path) -> list[list[Path]]:
    """The frames of each clip that the recipe looks at (of its first window), in their own size."""

    def take(chunks: Chunks) -> list[Image.Image]:
        return [Image.fromarray(rgb) for chunk in chunks for rgb in chunk.rgb]

    paths: list[list[Path]] = [[] for _ in clips]
    requests = (clip_request(clip.path, recipe) for clip in clips)
    for item in read_clips(requests, take, num_threads=DEFAULT_NUM_THREADS):
        if isinstance(item, ReadWindow) and not paths[item.request_index]:
            clip_folder = folder / str(item.request_index)
            clip_folder.mkdir(parents=True)
            for number, image in enumerate(item.value):
                path = clip_folder / f"{number:05}.jpg"
                image.save(path, quality=JPEG_QUALITY)
                paths[item.request_index].append(path)
    return paths


class JpegClips(Dataset[tuple[Tensor, int]]):
    """Clips as folders of pictures, as in many a tutorial."""

    def __init__(self, frames: Sequence[Sequence[Path]], targets: Sequence[int], recipe: Recipe) -> None:
        self._frames, self._targets = frames, targets
        spec = recipe.preprocess
        self._transform = v2.Compose(
            [
                v2.PILToTensor(),
                v2.Resize((spec.height, spec.width), antialias=True),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(list(spec.mean), list(spec.std)),
            ]
        )

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pictures = [self._transform(Image.open(path)) for path in self._frames[index]]
        return torch.stack(pictures), self._targets[index]


def collate(examples: list[tuple[Tensor, int]]) -> Batch:
    """Clips padded to the longest of the batch."""
    return (*pad_sequences([clip for clip, _ in examples]), torch.tensor([target for _, target in examples]))


def tutorial_epochs(
    classifier: VideoClassifier,
    frames: Sequence[Sequence[Path]],
    clip_labels: Sequence[str],
    labels: Sequence[str],
    recipe: Recipe,
) -> Iterator[float]:
    """A plain loop over pictures; gives each epoch's last loss."""
    data = JpegClips(frames, [labels.index(label) for label in clip_labels], recipe)
    loader = DataLoader(
        data, recipe.training.batch_size, shuffle=True, collate_fn=collate, num_workers=2, persistent_workers=True
    )
    trained = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, recipe.training.learning_rate)
    classifier.train()
    while True:
        loss = torch.zeros(())
        for clips, num_frames, targets in loader:
            optimizer.zero_grad()
            loss = cross_entropy(classifier(clips, num_frames), targets)
            torch.autograd.backward(loss)
            optimizer.step()
        yield float(loss.detach())


def padding_shares(lengths: Sequence[int]) -> tuple[float, float]:
    """The share of all steps of all batches that is padding: as we batch, and in random order."""
    rng = np.random.default_rng(0)
    pooled: list[Sequence[range]] = []
    shuffled: list[Sequence[range]] = []
    for _ in range(NUM_PADDING_EPOCHS):
        clips = [range(lengths[i]) for i in rng.permutation(len(lengths))]
        for pool in make_pools(len(clips), PADDING_BATCH_SIZE):  # as from the second epoch on
            pooled += pool.batches([clips[place] for place in pool.places(0)], rng, rng)
        shuffled += [clips[i : i + PADDING_BATCH_SIZE] for i in range(0, len(clips), PADDING_BATCH_SIZE)]
    return padding_share(pooled), padding_share(shuffled)


def padding_share(batches: Sequence[Sequence[range]]) -> float:
    """Padding over all steps, padding among them."""
    num_steps = sum(len(batch) * max(map(len, batch)) for batch in batches)
    return 1 - sum(len(clip) for batch in batches for clip in batch) / num_steps


if __name__ == "__main__":
    main()
