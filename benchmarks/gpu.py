"""The kernels and prediction on one GPU, compared with torch; frames are synthetic, nothing is downloaded.

    python benchmarks/gpu.py [--dry-run]

Prints Markdown tables. The GPU's own limits are measured first: the bandwidth of a copy, counting bytes read and
written, and the rate of a bfloat16 matrix product. A kernel's bytes are those of the frames that its crop needs, plus
its output; its share is relative to the bandwidth of the copy. Times are medians over inputs that take turns, so that
no cache holds them all. After five minutes the remaining rows are reported as left out. ``--dry-run`` runs everything
at the smallest sizes on the CPU, through the references, to show that it works: no times are printed.

Needs torch, torchvision, Triton, NumPy and pydantic; no decoder.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from videoclf.inference.engines.cuda.engine import GpuEngine
from videoclf.inference.engines.cuda.launching import Launching
from videoclf.inference.engines.cuda.preprocess import PreparedWindow
from videoclf.inference.engines.cuda.upload import Staging, Stream
from videoclf.kernels.availability import why_no_kernels
from videoclf.kernels.channel_arrangement_reference import arrange_channels
from videoclf.kernels.layout import Clip, ClipLayout, Colours
from videoclf.kernels.preprocess import Output, preprocess_clips
from videoclf.kernels.preprocess_reference import resize_and_crop
from videoclf.kernels.temporal_shift import temporal_shift
from videoclf.kernels.temporal_shift_reference import temporal_shift as temporal_shift_reference
from videoclf.media.frames import RgbFrames, UInt8Array
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.temporal_shift import neighbours
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.modeling.preprocess import place
from videoclf.recipe.preprocess import Preprocess
from videoclf.recipe.recipe import Recipe

MAX_SECONDS = 300
"""After so many no further row is begun: a network's first, which compiles it three times, may take two minutes."""

NUM_THREADS = 8
"""That prepare clips; the reader's threads decode as well."""

ENGINES: dict[str, tuple[Literal["float32", "float16"], Launching]] = {
    "engine, float32": ("float32", Launching.EAGER),
    "float16": ("float16", Launching.EAGER),
    "float16, graphs": ("float16", Launching.GRAPHS),
    "float16, compiled": ("float16", Launching.COMPILED),
}
"""Our own engines."""

Run = Callable[[int], object]
"""Does the work on the inputs of that number, of `Bench.num_inputs`."""


@dataclass
class Bench:
    """Where and how to measure."""

    device: torch.device
    is_dry: bool
    begun_at: float
    num_inputs: int
    num_rounds: int
    bytes_a_second: float = 1.0

    def seconds(self, run: Run) -> float:
        """Median time of a call; the first calls compile and warm up."""
        for index in range(self.num_inputs):
            run(index)
        times: list[float] = []
        for index in range(self.num_rounds):
            if self.device.type == "cuda":
                event: Any = torch.cuda.Event
                begin, end = event(enable_timing=True), event(enable_timing=True)
                begin.record()
                run(index % self.num_inputs)
                end.record()
                end.synchronize()
                times.append(begin.elapsed_time(end) / 1e3)
            else:
                begun = time.perf_counter()
                run(index % self.num_inputs)
                times.append(time.perf_counter() - begun)
        return statistics.median(times)

    def row(self, name: str, num_bytes: int, ours: Run, others: Sequence[Run]) -> None:
        """Print one kernel's line: time, bytes, share of the bandwidth, and how much faster it is than each other."""
        if time.monotonic() - self.begun_at > MAX_SECONDS:
            print(f"| {name} | left out: time is up |", flush=True)
            return
        own_seconds = self.seconds(ours)
        speeds = [self.seconds(other) / own_seconds for other in others]
        share = num_bytes / own_seconds / self.bytes_a_second
        figures = [f"{own_seconds * 1e6:.0f}", f"{num_bytes / 1e6:.1f}", f"{share:.0%}", *(f"{s:.1f}×" for s in speeds)]
        self.line(name, figures)

    def line(self, name: str, figures: Sequence[str]) -> None:
        """A row of a table; in a dry run its figures are not printed."""
        print(f"| {' | '.join([name, *('dry' if self.is_dry else figure for figure in figures)])} |", flush=True)


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dry-run", action="store_true", help="run the smallest sizes on the CPU, without times")
    is_dry = parser.parse_args().dry_run
    device = torch.device("cpu" if is_dry else "cuda")
    if not is_dry and (reason := why_no_kernels(device)):
        parser.error(f"nothing to measure: {reason}; try --dry-run")
    bench = Bench(device, is_dry, time.monotonic(), num_inputs=1 if is_dry else 3, num_rounds=1 if is_dry else 20)
    name = "dry run" if is_dry else torch.cuda.get_device_name(device)
    print(f"{name}, torch {torch.__version__}\n")
    with torch.inference_mode():
        measure_ceilings(bench)
        measure_preprocessing(bench)
    measure_shift(bench)
    with torch.inference_mode():
        measure_prediction(bench)


def measure_ceilings(bench: Bench) -> None:
    """What the GPU copies and multiplies."""
    num_values, side = (1024, 16) if bench.is_dry else (2**29, 8192)
    source = torch.randn(num_values, device=bench.device)
    target = torch.empty_like(source)
    bench.bytes_a_second = 2 * source.nbytes / bench.seconds(lambda _: target.copy_(source))
    left, right = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    flops = 2 * side**3 / bench.seconds(lambda _: left @ right)
    print("| ceiling | |\n| --- | --- |")
    bench.line("copy, TB/s", [f"{bench.bytes_a_second / 1e12:.2f}"])
    bench.line("bfloat16 matrix product, TFLOP/s", [f"{flops / 1e12:.0f}"])


def measure_preprocessing(bench: Bench) -> None:
    """One pass against eager torch, torch.compile of the same, and torchvision's transforms (RGB views only)."""
    print("\n| preprocess | µs | MB | of the bandwidth | eager torch | torch.compile | torchvision v2 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    spec = Preprocess(height=16, width=16) if bench.is_dry else Preprocess()
    sizes = [(24, 32, 1, 2)] if bench.is_dry else [(240, 320, 32, 16), (1080, 1920, 2, 16)]
    for (height, width, num_clips, num_frames), channels in itertools.product(
        sizes, [("rgb",), ("rgb", "gray_triplet")]
    ):
        output = Output(spec.height, spec.width, channels, spec.mean, spec.std, torch.float16, is_channels_last=True)
        name = f"{num_clips} clips of {num_frames} frames {width}×{height} to {' + '.join(channels)}"
        layouts = {
            "RGB": ClipLayout.rgb(num_clips * num_frames, height, width),
            "NV12": ClipLayout.nv12(num_clips * num_frames, height, width, Colours("bt709")),
        }
        for kind, layout in layouts.items():
            pixels = [_random_bytes(bench, layout.num_bytes) for _ in range(bench.num_inputs)]
            clips = [Clip(part, place(height, width, spec)) for part in _split(layout, num_clips, num_frames)]
            num_bytes = _needed_bytes(clips, output)
            run = _preprocess_run(pixels, clips, output)
            others = _torch_runs(bench, pixels, clips, output) if kind == "RGB" else []
            bench.row(f"{kind}, {name}", num_bytes, run, others if channels == ("rgb",) else others[:2])


def _preprocess_run(pixels: Sequence[Tensor], clips: Sequence[Clip], output: Output) -> Run:
    return lambda index: preprocess_clips(pixels[index], clips, output)


def _torch_runs(bench: Bench, pixels: Sequence[Tensor], clips: Sequence[Clip], output: Output) -> list[Run]:
    """Eager torch, torch.compile and torchvision over the same bytes: clips of one size, so one call does them all."""
    layout, placement = clips[0].layout, clips[0].placement
    batches = [given.view(len(clips), layout.num_frames, layout.height, layout.width, 3) for given in pixels]

    def eager(frames: Tensor) -> Tensor:
        resized = resize_and_crop(frames.flatten(0, 1).permute(0, 3, 1, 2), placement, output.height, output.width)
        windows = resized.view(*frames.shape[:2], *resized.shape[1:])
        shown = torch.cat([arrange_channels(w, output.channels, output.mean, output.std) for w in windows])
        return shown.to(output.dtype, memory_format=torch.channels_last)

    compiled = torch.compile(eager, dynamic=False, backend="eager" if bench.is_dry else "inductor")
    transform = v2.Compose([
        v2.Resize((placement.resized_height, placement.resized_width), antialias=True),
        v2.CenterCrop((output.height, output.width)),
        v2.ToDtype(output.dtype, scale=True),
        v2.Normalize(output.mean, output.std),
    ])  # fmt: skip
    return [
        lambda index: eager(batches[index]),
        lambda index: compiled(batches[index]),
        lambda index: transform(batches[index].flatten(0, 1).permute(0, 3, 1, 2)),
    ]


def _split(layout: ClipLayout, num_clips: int, num_frames: int) -> list[ClipLayout]:
    """Clips of one kind behind each other in one buffer."""
    clip = replace(layout, num_frames=num_frames)
    return [clip.moved(index * num_frames * layout.frame_pitch) for index in range(num_clips)]


def _needed_bytes(clips: Sequence[Clip], output: Output) -> int:
    """Of the frames: the part that the crop is made from, once. Of the output: all."""
    layout, placement = clips[0].layout, clips[0].placement
    rows = min(layout.height, output.height * placement.source_height / placement.resized_height)
    columns = min(layout.width, output.width * placement.source_width / placement.resized_width)
    bytes_a_pixel = 3 if layout.colours is None else 1.5
    num_frames = sum(clip.layout.num_frames for clip in clips)
    num_values = 3 * len(output.channels) * output.height * output.width
    return int(num_frames * (rows * columns * bytes_a_pixel + num_values * output.dtype.itemsize))


def measure_shift(bench: Bench) -> None:
    """Forward, and forward with backward."""
    print("\n| temporal shift | µs | MB | of the bandwidth | eager torch | torch.compile |")
    print("| --- | --- | --- | --- | --- | --- |")
    compiled = torch.compile(temporal_shift_reference, dynamic=False, backend="eager" if bench.is_dry else "inductor")
    shapes = [(4, 8, 2, 2)] if bench.is_dry else [(512, 256, 56, 56), (512, 1024, 14, 14)]
    for shape, with_backward in itertools.product(shapes, (False, True)):
        maps = [
            torch.randn(shape, device=bench.device, dtype=torch.float16)
            .contiguous(memory_format=torch.channels_last)
            .requires_grad_(with_backward)
            for _ in range(bench.num_inputs)
        ]
        sides = neighbours(torch.full((shape[0] // 4,), 4, device=bench.device))
        gradient = torch.randn_like(maps[0])
        runs = [
            _shift_run(shift, maps, sides, gradient if with_backward else None)
            for shift in (temporal_shift, temporal_shift_reference, compiled)
        ]
        passes = "forward and backward" if with_backward else "forward"
        num_bytes = 2 * maps[0].nbytes * (1 + with_backward)
        bench.row(f"{'×'.join(map(str, shape))} float16, {passes}", num_bytes, runs[0], runs[1:])


def _shift_run(shift: Any, maps: Sequence[Tensor], sides: Tensor, gradient: Tensor | None) -> Run:
    if gradient is None:
        return lambda index: shift(maps[index], sides)
    return lambda index: torch.autograd.grad(shift(maps[index], sides), maps[index], gradient)


def measure_prediction(bench: Bench) -> None:
    """From uint8 frames in host memory to logits: clips a second."""
    names = ["tiny"] if bench.is_dry else ["mobilenet_v2", "r2plus1d_18", "resnet50"]
    lengths = [2] if bench.is_dry else [16, 64]
    sizes = [(24, 32)] if bench.is_dry else [(240, 320), (1080, 1920)]
    rivals = ("eager, float32", "compiled, float16")
    titles = ["network", "frames", "size", *ENGINES, *rivals, "upload alone", "network alone", "time over the slower"]
    print(f"\n| {' | '.join(titles)} |\n|{' --- |' * len(titles)}")
    for name in names:
        contenders: Contenders | None = None
        for (height, width), num_frames in itertools.product(sizes, lengths):
            title = f"{name} | {num_frames} | {width}×{height}"
            if time.monotonic() - bench.begun_at > MAX_SECONDS:
                print(f"| {title} | left out: time is up |", flush=True)
                continue
            contenders = contenders or Contenders(bench, name)
            bench.line(title, contenders.figures(num_frames, height, width))


class Contenders:
    """One network as our engine runs it, plainly in torch, and in torch at its best: in half precision, compiled.

    Torch is given its frames in pinned memory, one batch as one tensor; the engine as a decoder leaves them.

    Args:
        bench: where.
        name: of the backbone.
    """

    def __init__(self, bench: Bench, name: str) -> None:
        size = {"height": 16, "width": 16} if bench.is_dry else {}
        self._recipe = Recipe.model_validate({"backbone": {"name": name}, "preprocess": size})
        self._bench, self._half = bench, torch.float16
        if bench.is_dry:
            self._half = torch.bfloat16  # a CPU's convolutions are slow in float16
        torch.manual_seed(0)
        classifier = build_classifier(self._recipe, 16)
        _settle(classifier, self._recipe)
        self._engines = {title: self._engine(classifier, *variant) for title, variant in ENGINES.items()}
        self._plain: Any = build_classifier(self._recipe, 16).eval().to(bench.device)
        self._best: Any = build_classifier(self._recipe, 16).eval().to(bench.device, self._half)
        # the network alone: what stands around it picks valid frames, whose number no compiler knows
        backbone: Any = self._best.backbone
        backbone.network = torch.compile(
            backbone.network, dynamic=False, backend="eager" if bench.is_dry else "inductor"
        )

    def _engine(
        self, classifier: VideoClassifier, precision: Literal["float32", "float16"], launching: Launching
    ) -> GpuEngine | None:
        """None where the network is not run so."""
        is_of_single_frames = not isinstance(classifier.backbone, ClipBackbone)
        if launching is not Launching.EAGER and (self._bench.is_dry or not is_of_single_frames):
            return None
        return GpuEngine(
            copy.deepcopy(classifier), self._recipe, str(self._bench.device),
            precision=precision, launching=launching, notice=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip

    def figures(self, num_frames: int, height: int, width: int) -> list[str]:
        """Clips a second of each; then of the upload and of the network alone, as the fastest engine has them, and how
        much longer it takes than the slower of the two."""
        num_clips = 1 if self._bench.is_dry else 128 // num_frames
        batch = torch.randint(
            0, 256, (num_clips, num_frames, height, width, 3), dtype=torch.uint8, device=self._bench.device
        ).cpu()
        clips = [clip.numpy() for clip in batch]
        if self._bench.device.type == "cuda":
            batch = batch.pin_memory()
        seconds = {
            title: None if engine is None else _end_to_end_seconds(self._bench, engine, clips)
            for title, engine in self._engines.items()
        }
        torchs = [
            self._bench.seconds(lambda _: self._by_torch(batch, self._plain, torch.float32)),
            self._bench.seconds(lambda _: self._by_torch(batch, self._best, self._half)),
        ]
        best, fastest = min((taken, title) for title, taken in seconds.items() if taken is not None)
        engine = self._engines[fastest]
        assert engine is not None  # it was timed
        parts = [_upload_seconds(self._bench, clips), _network_seconds(self._bench, engine, clips)]
        rates = [None if taken is None else num_clips / taken for taken in (*seconds.values(), *torchs, *parts)]
        return [*("-" if rate is None else f"{rate:.0f}" for rate in rates), f"{best / max(parts):.2f}"]

    def _by_torch(self, batch: Tensor, classifier: Any, dtype: torch.dtype) -> Tensor:
        spec = self._recipe.preprocess
        frames = batch.to(self._bench.device, non_blocking=True).flatten(0, 1).permute(0, 3, 1, 2)
        placement = place(batch.shape[2], batch.shape[3], spec)
        resized = resize_and_crop(frames, placement, spec.height, spec.width)
        shown = arrange_channels(resized, spec.channels, spec.mean, spec.std).to(dtype)
        lengths = torch.full((len(batch),), batch.shape[1], device=self._bench.device)
        logits: Tensor = classifier(shown.view(*batch.shape[:2], *shown.shape[1:]), lengths)
        return logits


@torch.no_grad()
def _settle(classifier: VideoClassifier, recipe: Recipe) -> None:
    """Give batch norms the statistics of what they see: with random weights alone features would be too small for
    float16, and the engine's self-test would refuse it."""
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = 1.0
    clips = torch.randn(2, 4, 3 * len(recipe.preprocess.channels), recipe.preprocess.height, recipe.preprocess.width)
    classifier.train()(clips, torch.full((2,), 4))
    classifier.eval()


def _end_to_end_seconds(bench: Bench, engine: GpuEngine, clips: Sequence[UInt8Array]) -> float:
    """Of a batch, while batches come one after another: threads prepare those that follow, as the reader's do."""
    num_batches = 2 if bench.is_dry else 10

    def prepare(clip: UInt8Array) -> PreparedWindow:
        return engine.preprocess(_chunks(clip))

    with ThreadPoolExecutor(NUM_THREADS) as pool:
        waiting = deque(pool.map(prepare, clips) for _ in range(2))
        ends: list[float] = []
        for _ in range(num_batches):
            waiting.append(pool.map(prepare, clips))
            engine.logits(list(waiting.popleft()))
            ends.append(time.perf_counter())
        for left in waiting:
            list(left)
    steady = ends[len(ends) // 2 - 1 :]  # what comes first compiles, or finds all prepared
    return (steady[-1] - steady[0]) / (len(steady) - 1)


def _upload_seconds(bench: Bench, clips: Sequence[UInt8Array]) -> float:
    """Of a batch's bytes by themselves, through pinned memory."""
    stream = Stream(bench.device)
    staging = Staging(bench.device, stream)

    def send(clip: UInt8Array) -> None:
        with stream.entered():
            for chunk in _chunks(clip):
                staging.upload([chunk.rgb])

    taken = []
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for _ in range(1 if bench.is_dry else 5):
            begun = time.perf_counter()
            list(pool.map(send, clips))
            stream.mark().synchronize()
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _network_seconds(bench: Bench, engine: GpuEngine, clips: Sequence[UInt8Array]) -> float:
    """Of a batch that is prepared."""
    windows = [engine.preprocess(_chunks(clip)) for clip in clips]
    taken = []
    for _ in range(1 if bench.is_dry else 5):
        begun = time.perf_counter()
        engine.logits(windows)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _chunks(clip: UInt8Array) -> Iterator[RgbFrames]:
    """As the reader gives them."""
    for first in range(0, len(clip), 16):
        rgb = clip[first : first + 16]
        yield RgbFrames(rgb, np.arange(len(rgb), dtype=np.float64), "made on the spot")


def _random_bytes(bench: Bench, num_bytes: int) -> Tensor:
    return torch.randint(0, 256, (num_bytes,), dtype=torch.uint8, device=bench.device)


if __name__ == "__main__":
    main()
