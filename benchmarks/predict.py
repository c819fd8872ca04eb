"""Prediction on a CPU: this library and common ways to do the same without it.

    python benchmarks/predict.py [--model FILE] [FOLDER]... [--rounds 3] [--only WORD]
    python benchmarks/predict.py [--model FILE] --overlap FOLDER... [--rounds 3] [--picture FILE]
    python benchmarks/predict.py --repeat CLIP [--model FILE]

The first form compares ways to classify the same clips: those of the folders as one set, and twenty 720p H.264 clips of
ten seconds, rendered first. All run the same weights in float32 on the same frames (which are determined beforehand and
passed to the others), each in a process of its own, imports and loading included. They take turns in each round:

- tutorial: OpenCV reads every frame, torchvision's transforms are applied one after the other to a Pillow image, and
  the network as trained processes one clip at a time;
- TorchCodec, and decord: they decode the wanted frames, apply torchvision's transforms to whole clips, and run the
  network as trained on batches of 32 frames, without computing padding;
- videoclf: the command `videoclf predict`, with torch and with OpenVINO.

For a model that uses motion channels (the default model does) the other ways are left out, because they use RGB alone.

``--overlap``: the time of this library's reader alone, of its network alone and of both together, in turn, in one
process.
``--repeat``: one clip 10, 100, 1,000 and 10,000 times: time and memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoclf.recipe.header import ModelHeader
    from videoclf.recipe.sampling import Sampling

NUM_LARGE_CLIPS = 20
FRAMES_PER_PASS = 32
REPEATS = (10, 100, 1_000, 10_000)
OURS = {"videoclf, OpenVINO": "openvino", "videoclf, torch": "torch"}
PEERS = ("tutorial", "TorchCodec", "decord")
NEEDS = {"TorchCodec": "torchcodec", "decord": "decord", "videoclf, OpenVINO": "openvino"}


@dataclass(frozen=True)
class Wanted:
    """Which frames of a clip the recipe looks at."""

    path: str
    windows: list[list[int]]
    """Of each window the frames, counted in display order from 0."""

    @property
    def frame_indices(self) -> list[int]:
        """Of all windows, one behind the other."""
        return [index for window in self.windows for index in window]


@dataclass(frozen=True)
class Run:
    """What one way took for one set."""

    seconds: float
    """The whole process."""
    cores: float
    """Busy, on average."""
    labels: list[str]


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="CLASS/clip")
    parser.add_argument("--model", help="a model with a 2D backbone; default: the embedded model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="WORD", help="only sets whose name contains WORD")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also draw the times of --overlap")
    parser.add_argument("--overlap", action="store_true")
    parser.add_argument("--repeat", type=Path, metavar="CLIP")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--wanted", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run_peer(arguments.way, arguments.model, read_wanted(arguments.wanted))))
    elif arguments.repeat:
        print_repeats(arguments.model, arguments.repeat)
    elif arguments.overlap:
        print_overlap(arguments)
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """A table for each set of clips."""
    from videoclf.inference.selection import open_engine

    recipe = open_engine(arguments.model)[1].recipe  # converts the model, too
    is_shown_colours_alone = recipe.preprocess.channels == ("rgb",)
    candidates = (*OURS, *PEERS) if is_shown_colours_alone else OURS
    ways = [way for way in candidates if way not in NEEDS or importlib.util.find_spec(NEEDS[way])]
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in clip_sets(arguments.folders, Path(folder)):
            if arguments.only not in name:
                continue
            # warms the file cache, too
            clips = [find_wanted(path, recipe.sampling) for path in paths]
            wanted = Path(folder, "wanted.json")
            wanted.write_text(json.dumps([asdict(clip) for clip in clips]))
            title = f"{len(clips)} clips, {sum(len(clip.frame_indices) for clip in clips)} frames: {name}"
            runs: dict[str, list[Run]] = {way: [] for way in ways}
            for number in range(arguments.rounds):
                for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                    runs[way].append(time_way(way, arguments.model, wanted))
            print_table(title, runs)


def clip_sets(folders: Iterable[Path], scratch: Path) -> Iterator[tuple[str, list[Path]]]:
    """Names, and clips."""
    from decode import ClipRecipe, make_clip  # the script beside this one

    from videoclf.media.sources import videos_below

    folders = list(folders)
    if folders:
        paths = [path for folder in folders for path in videos_below(folder)]
        yield ", ".join(folder.name for folder in folders), paths
    large = scratch / "720p.mp4"
    make_clip(ClipRecipe("", 1280, 720, 30, 10, "libx264", {"g": "60", "bf": "3"}), large)
    copies = [scratch / f"720p {number}.mp4" for number in range(NUM_LARGE_CLIPS)]
    for copy in copies:
        copy.write_bytes(large.read_bytes())
    yield "720p H.264, 10 s", copies


def find_wanted(path: Path, sampling: Sampling) -> Wanted:
    """The frames of a clip's windows."""
    import av
    import numpy as np

    from videoclf.media.video import Video

    with Video(path) as video:
        plans = video.plan(sampling.fps).windows(sampling.max_frames)
        windows = [[frame.pts_seconds for frame in video.frames(plan)] for plan in plans]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base
        stamps = sorted(float(p.pts * stream.time_base) for p in container.demux(stream) if p.pts is not None)
    passed = np.array(stamps)[:, None] - stamps[0]
    return Wanted(str(path), [np.abs(passed - shown).argmin(axis=0).tolist() for shown in windows])


def read_wanted(path: Path) -> list[Wanted]:
    """What `compare` wrote."""
    return [Wanted(**entry) for entry in json.loads(path.read_text())]


def time_way(way: str, model: str | None, wanted: Path) -> Run:
    """A process of its own."""
    options = ["--model", model] if model else []
    if way in OURS:
        paths = [clip.path for clip in read_wanted(wanted)]
        command = ["-m", "videoclf", "predict", *paths, "--engine", OURS[way], "--json", "--top-k", "1", *options]
    else:
        command = [__file__, "--way", way, "--wanted", str(wanted), *options]
    started, cpu_before = time.perf_counter(), cpu_seconds_of_children()
    lines = subprocess.run(
        [sys.executable, *command], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.splitlines()
    seconds = time.perf_counter() - started
    labels = [json.loads(line)["labels"][0]["label"] for line in lines] if way in OURS else json.loads(lines[-1])
    return Run(seconds, (cpu_seconds_of_children() - cpu_before) / seconds, labels)


def cpu_seconds_of_children() -> float:
    """Of those that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_peer(way: str, model: str | None, clips: list[Wanted]) -> list[str]:
    """Label the clips."""
    if way == "tutorial":
        return list(label_as_tutorials(model, clips))
    return list(label_in_batches(model, {"TorchCodec": read_torchcodec, "decord": read_decord}[way], clips))


def open_plain(model: str | None) -> tuple[Any, Any]:
    """The network as it was trained, its memory laid out as torch does by itself; and its header."""
    import torch

    from videoclf.modeling.open_model import open_model

    classifier, header = open_model(model)
    classifier.backbone.network.to(memory_format=torch.contiguous_format)
    return classifier, header


def label_as_tutorials(model: str | None, clips: list[Wanted]) -> Iterator[str]:
    """Every frame read, one after the other; a clip at a time."""
    import cv2
    import torch
    from torchvision import transforms

    classifier, header = open_plain(model)
    spec = header.recipe.preprocess
    prepare = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.Resize((spec.height, spec.width)),
            transforms.ToTensor(),
            transforms.Normalize(list(spec.mean), list(spec.std)),
        ]
    )
    for clip in clips:
        capture, frames = cv2.VideoCapture(clip.path), []
        while True:
            is_there, picture = capture.read()
            if not is_there:
                break
            frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        logits = []
        for window in clip.windows:
            # of some files OpenCV gives a frame less than they have
            chosen = torch.stack([prepare(frames[min(index, len(frames) - 1)]) for index in window])
            with torch.inference_mode():
                features = classifier.backbone.network(chosen)
                logits.append(classifier.classify(features[None], torch.tensor([len(chosen)]))[0].numpy())
        yield best_label(header, logits, clip)


def label_in_batches(model: str | None, read: Callable[[Wanted], Any], clips: list[Wanted]) -> Iterator[str]:
    """Only what is wanted decoded; frames of several clips in a batch."""
    import torch
    from torchvision.transforms import v2

    classifier, header = open_plain(model)
    spec = header.recipe.preprocess
    prepare = v2.Compose(
        [
            v2.Resize((spec.height, spec.width), antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(spec.mean), list(spec.std)),
        ]
    )

    def classify(waiting: list[tuple[Wanted, Any]]) -> Iterator[str]:
        with torch.inference_mode():
            parts = torch.split(torch.cat([frames for _, frames in waiting]), FRAMES_PER_PASS)
            features = torch.cat([classifier.backbone.network(part) for part in parts])
            lengths = [len(window) for clip, _ in waiting for window in clip.windows]
            padded = torch.nn.utils.rnn.pad_sequence(list(torch.split(features, lengths)), batch_first=True)
            logits = iter(classifier.classify(padded, torch.tensor(lengths)).numpy())
        for clip, _ in waiting:
            yield best_label(header, [next(logits) for _ in clip.windows], clip)

    waiting: list[tuple[Wanted, Any]] = []
    for clip in clips:
        waiting.append((clip, prepare(read(clip))))
        if sum(len(frames) for _, frames in waiting) >= 4 * FRAMES_PER_PASS:
            yield from classify(waiting)
            waiting = []
    if waiting:
        yield from classify(waiting)


def best_label(header: ModelHeader, window_logits: list[Any], clip: Wanted) -> str:
    """Of the mean of the windows' probabilities."""
    from videoclf.inference.pipeline import average_windows

    scores = average_windows(window_logits, map(len, clip.windows), header.calibration.temperature)
    return header.labels[int(scores.argmax())]


def read_torchcodec(clip: Wanted) -> Any:
    """``T×3×H×W`` uint8, by the threads that FFmpeg chooses."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(clip.path, seek_mode="approximate", num_ffmpeg_threads=0)
    return decoder.get_frames_at(clip.frame_indices).data


def read_decord(clip: Wanted) -> Any:
    """``T×3×H×W`` uint8, by the threads that it chooses."""
    import decord
    import torch

    return torch.from_numpy(decord.VideoReader(clip.path).get_batch(clip.frame_indices).asnumpy()).permute(0, 3, 1, 2)


def print_table(title: str, runs: dict[str, list[Run]]) -> None:
    """A line a way."""
    seconds = {way: statistics.median(run.seconds for run in turns) for way, turns in runs.items()}
    best_peer_seconds = min((value for way, value in seconds.items() if way in PEERS[1:]), default=math.nan)
    labels = runs["videoclf, torch"][0].labels
    print(f"\n**{title}**\n\n| way | seconds | least | cores busy | tutorial / this ", end="")
    print("| best of the others / this | other labels |\n| --- | --- | --- | --- | --- | --- | --- |")
    for way, turns in sorted(runs.items(), key=lambda item: seconds[item[0]]):
        least = min(run.seconds for run in turns)
        cores = statistics.median(run.cores for run in turns)
        num_others = sum(mine != theirs for mine, theirs in zip(turns[-1].labels, labels, strict=True))
        others_seconds = seconds.get("tutorial", math.nan), best_peer_seconds
        gains = " | ".join("–" if math.isnan(other) else f"{other / seconds[way]:.2f}" for other in others_seconds)
        print(f"| {way} | {seconds[way]:.1f} | {least:.1f} | {cores:.2f} | {gains} | {num_others} |", flush=True)


def print_overlap(arguments: argparse.Namespace) -> None:
    """A line an engine: medians over the rounds."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does, before NumPy is imported
    import videoclf
    from videoclf.media.sources import videos_below

    paths = [path for folder in arguments.folders for path in videos_below(folder)]
    print(
        "| engine | reading s | network s | both s | both / sum | cores busy |\n| --- | --- | --- | --- | --- | --- |"
    )
    stages: dict[str, tuple[float, float, float]] = {}
    for engine in ("openvino", "torch"):
        model = videoclf.load(arguments.model, engine=engine)
        list(model.predict_many(paths[:8]))
        rounds = [measure_stages(model, paths) for _ in range(arguments.rounds)]
        reading, network, both = (statistics.median(times[i] for times in rounds) for i in range(3))
        ratio = statistics.median(times[2] / (times[0] + times[1]) for times in rounds)
        cores = statistics.median(times[3] for times in rounds)
        print(f"| {engine} | {reading:.2f} | {network:.2f} | {both:.2f} | {ratio:.3f} | {cores:.2f} |", flush=True)
        stages[engine] = (reading, network, both)
    if arguments.picture:
        draw(stages, arguments.picture)


def measure_stages(model: Any, paths: list[Path]) -> tuple[float, float, float, float]:
    """Seconds of the reader alone, of the network alone, of both; and how many cores were busy then."""
    from videoclf.inference.pipeline import clip_request
    from videoclf.media.options import DEFAULT_NUM_THREADS
    from videoclf.media.reader import ReadWindow, read_clips

    engine = model._engine
    started = time.perf_counter()
    requests = (clip_request(path, model.recipe) for path in paths)
    items = read_clips(requests, engine.preprocess, num_threads=DEFAULT_NUM_THREADS)
    windows = [item.value for item in items if isinstance(item, ReadWindow)]
    read = time.perf_counter()
    for group in batches(windows):
        engine.logits(group)
    done = time.perf_counter()
    started_cpu = time.process_time()
    for _ in model.predict_many(paths):
        pass
    both_seconds = time.perf_counter() - done
    cores = (time.process_time() - started_cpu) / both_seconds
    return read - started, done - read, both_seconds, cores


def batches(windows: list[Any]) -> Iterator[list[Any]]:
    """As the library forms them."""
    from videoclf.inference.pipeline import FRAMES_PER_BATCH as FRAMES

    waiting: list[Any] = []
    for window in windows:
        waiting.append(window)
        if sum(map(len, waiting)) >= FRAMES:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def draw(stages: dict[str, tuple[float, float, float]], path: Path) -> None:
    """Where the time goes: a bar for reading and network one after the other, and one for both together."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 2.4), layout="constrained")
    for place, (reading, network, both) in enumerate(stages.values()):
        is_first = place == 0
        axes.barh(2.5 * place, reading, color="#3b76af", label="reading alone" if is_first else None)
        axes.barh(2.5 * place, network, left=reading, color="#d95f02", label="network alone" if is_first else None)
        axes.barh(2.5 * place + 0.9, both, color="#7a7a7a", label="both, overlapping" if is_first else None)
    axes.set_yticks([2.5 * place + 0.45 for place in range(len(stages))], list(stages))
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def print_repeats(model: str | None, clip: Path) -> None:
    """A line a number of clips."""
    from decode import resident_bytes

    import videoclf

    loaded = videoclf.load(model)
    list(loaded.predict_many(repeat(clip, 20)))
    print("| clips | ms a clip | resident, MB |\n| --- | --- | --- |")
    for number in REPEATS:
        started = time.perf_counter()
        for _ in loaded.predict_many(repeat(clip, number)):
            pass
        ms = (time.perf_counter() - started) * 1e3 / number
        print(f"| {number:,} | {ms:.1f} | {resident_bytes('VmRSS') / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
