"""The kernels and feature extraction on one GPU, against torch; frames are made on the spot, nothing is downloaded.

    python benchmarks/gpu.py [--dry-run]

Prints Markdown tables. What the GPU can do is measured first: copying, counting bytes read and written, and a bfloat16
matrix product. A kernel's bytes are those of the frames that its crop needs, and its output; its share is of the
bandwidth copied with. Times are medians over inputs that take turns, so that no cache holds them all. After six
minutes what is left is said to be left out. ``--dry-run`` does everything at the smallest sizes on the CPU, through the
references, to show that it works: its times mean nothing, and none is printed.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from videoclf.kernels.availability import why_no_kernels
from videoclf.kernels.layout import Clip, ClipLayout, Colours
from videoclf.kernels.motion import temporal_shift
from videoclf.kernels.motion_reference import arrange_channels
from videoclf.kernels.motion_reference import temporal_shift as temporal_shift_reference
from videoclf.kernels.preprocess import Output, preprocess_clips
from videoclf.kernels.preprocess_reference import resize_and_crop
from videoclf.modeling.classifier import build_backbone
from videoclf.modeling.preprocess import place
from videoclf.modeling.temporal_shift import neighbours
from videoclf.recipe.recipe import Preprocess, Recipe

MAX_SECONDS = 360
"""After so many no further row is begun: one row takes two minutes at most, compiling included."""

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
    parser.add_argument("--dry-run", action="store_true", help="smallest sizes, on the CPU, no times")
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
        measure_extraction(bench)


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
    for (height, width, num_clips, num_frames), channels in itertools.product(sizes, [("rgb",), ("rgb", "moments")]):
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


def measure_extraction(bench: Bench) -> None:
    """From uint8 frames in host memory to features: clips a second."""
    print("\n| features | frames | size | kernels, float16, compiled | eager, float32 | eager, float16, compiled |")
    print("| --- | --- | --- | --- | --- | --- |")
    names = ["tiny"] if bench.is_dry else ["mobilenet_v2", "resnet50", "r2plus1d_18"]
    lengths = [2] if bench.is_dry else [16, 64]
    sizes = [(24, 32)] if bench.is_dry else [(240, 320), (1080, 1920)]
    for name, num_frames, (height, width) in itertools.product(names, lengths, sizes):
        title = f"{name} | {num_frames} | {width}×{height}"
        if time.monotonic() - bench.begun_at > MAX_SECONDS:
            print(f"| {title} | left out: time is up |", flush=True)
            continue
        num_clips = 1 if bench.is_dry else 128 // num_frames
        runs = _extraction_runs(bench, name, (num_clips, num_frames, height, width))
        bench.line(title, [f"{num_clips / bench.seconds(run):.0f}" for run in runs])


def _extraction_runs(bench: Bench, name: str, shape: tuple[int, int, int, int]) -> list[Run]:
    """With the kernels; plain torch; torch at its best: in half precision, compiled."""
    num_clips, num_frames, height, width = shape
    size = {"height": 16, "width": 16} if bench.is_dry else {}
    recipe = Recipe.model_validate({"backbone": {"name": name}, "preprocess": size})
    spec = recipe.preprocess
    layout = ClipLayout.rgb(num_frames, height, width)
    total = ClipLayout.rgb(num_clips * num_frames, height, width).num_bytes
    frames = [torch.randint(0, 256, (total,), dtype=torch.uint8) for _ in range(bench.num_inputs)]
    if bench.device.type == "cuda":
        frames = [given.pin_memory() for given in frames]
    clips = [Clip(part, place(height, width, spec)) for part in _split(layout, num_clips, num_frames)]
    lengths = torch.full((num_clips,), num_frames, device=bench.device)
    half = torch.bfloat16 if bench.is_dry else torch.float16  # a CPU's convolutions have no float16
    plain: Any = build_backbone(recipe).eval().to(bench.device)
    fast: Any = build_backbone(recipe).eval().to(bench.device, half)
    # the network alone: what stands around it picks valid frames, whose number no compiler knows
    fast.network = torch.compile(fast.network, dynamic=False, backend="eager" if bench.is_dry else "inductor")

    def upload(index: int) -> Tensor:
        return frames[index].to(bench.device, non_blocking=True)

    def run(preprocess: Callable[[int], Tensor], backbone: Any) -> Run:
        return lambda index: backbone(_windows(preprocess(index), num_clips), lengths)

    def output(dtype: torch.dtype, is_channels_last: bool) -> Output:
        return Output(spec.height, spec.width, spec.channels, spec.mean, spec.std, dtype, is_channels_last)

    def by_torch(index: int, dtype: torch.dtype) -> Tensor:
        pixels = upload(index).view(num_clips * num_frames, height, width, 3).permute(0, 3, 1, 2)
        resized = resize_and_crop(pixels, clips[0].placement, spec.height, spec.width)
        return arrange_channels(resized, spec.channels, spec.mean, spec.std).to(dtype)

    return [
        run(lambda index: preprocess_clips(upload(index), clips, output(half, is_channels_last=True)), fast),
        run(lambda index: by_torch(index, torch.float32), plain),
        run(lambda index: by_torch(index, half), fast),
    ]


def _windows(frames: Tensor, num_clips: int) -> Tensor:
    return frames.view(num_clips, -1, *frames.shape[1:])


def _random_bytes(bench: Bench, num_bytes: int) -> Tensor:
    return torch.randint(0, 256, (num_bytes,), dtype=torch.uint8, device=bench.device)


if __name__ == "__main__":
    main()
