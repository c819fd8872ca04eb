"""How long it takes to read 16 frames spread over a video, compared with other libraries.

    python benchmarks/decode.py [--rounds 5] [--weizmann FOLDER] [--only NAME]

Clips are rendered and encoded first (with PyAV: a panning texture, moving objects, noise), the 30-minute one by
repeating half a minute. In each round every reader reads the 16 frames once, in turn, so that other load on the machine
affects all of them. Medians over the rounds; "of the best peer" is the ratio of a median to that of the fastest peer.
Peers that are not installed are left out. ``--weizmann``: a folder of short clips, every fourth read in a round.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from videoclf.media.options import Picking, ReadOptions
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

NUM_FRAMES = 16
OURS_EXACT, OURS_FAST = "videoclf, exact", "videoclf, fast"
OPENCV, PYAV = "OpenCV, read through", "PyAV, naive"
DECODE_ALL = {OPENCV, PYAV}
"""A minute and more for half an hour of video: left out there."""

Reader = Callable[[Path], Any]


@dataclass(frozen=True)
class ClipRecipe:
    """A clip to encode."""

    name: str
    width: int
    height: int
    fps: int
    seconds: int
    encoder: str
    options: dict[str, str]
    repeats: int = 1


GOP_OF_60 = {"g": "60", "bf": "3", "sc_threshold": "0"}

CLIPS = (
    ClipRecipe("320x240 MPEG-4, 10 s.avi", 320, 240, 25, 10, "mpeg4", {"qscale": "4"}),
    ClipRecipe(
        "720p H.264, GOP 60, 20 s.mp4", 1280, 720, 30, 20, "libx264", {"g": "60", "bf": "3", "sc_threshold": "0"}
    ),
    ClipRecipe("1080p H.264, GOP 250, 10 s.mp4", 1920, 1080, 30, 10, "libx264", {"g": "250", "bf": "3"}),
    ClipRecipe("720p H.264, GOP 60, 30 min.mp4", 1280, 720, 30, 30, "libx264", GOP_OF_60, 60),
)


def main() -> None:
    """Print a table for each clip."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--weizmann", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        print(memory_growth_bytes(arguments.memory_of))
        return
    readers = dict(available_readers())
    with tempfile.TemporaryDirectory() as folder:
        for recipe in CLIPS:
            if arguments.only in recipe.name:
                path = Path(folder, recipe.name)
                make_clip(recipe, path)
                taking_part = {name: r for name, r in readers.items() if recipe.repeats == 1 or name not in DECODE_ALL}
                report(recipe.name, race(taking_part, [[path]] * arguments.rounds))
                command = [sys.executable, __file__, "--memory-of", str(path)]
                grown_bytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                print(f"memory above the start of the process: {grown_bytes / 1e6:.0f} MB")
        if arguments.weizmann and arguments.only in "weizmann":
            paths = sorted(arguments.weizmann.glob("*/*.avi"))[::4]
            report(f"{len(paths)} clips of {arguments.weizmann.name}", race(readers, [paths] * arguments.rounds))


def available_readers() -> Iterator[tuple[str, Reader]]:
    """Ours, and the peers that are installed."""
    yield OURS_EXACT, partial(read_ours, Picking.EXACT)
    yield OURS_FAST, partial(read_ours, Picking.FAST)
    if importlib.util.find_spec("torchcodec"):
        for seek_mode in ("exact", "approximate"):
            for num_threads, threads in ((1, "1 thread"), (0, "own threads")):
                yield f"TorchCodec, {seek_mode}, {threads}", partial(read_torchcodec, seek_mode, num_threads)
    if importlib.util.find_spec("decord"):
        yield "decord", read_decord
    yield OPENCV, read_opencv
    yield PYAV, read_pyav


def times_seconds(duration_seconds: float) -> list[float]:
    """16, in the middle of equal parts."""
    return [(index + 0.5) * duration_seconds / NUM_FRAMES for index in range(NUM_FRAMES)]


def read_ours(picking: Picking, path: Path) -> Any:
    """By the library's own reader."""
    with Video(path, ReadOptions(picking=picking)) as video:
        times = np.array(times_seconds(video.info.duration_seconds))
        frames = list(video.frames(SamplingPlan(times, NUM_FRAMES / video.info.duration_seconds)))
    assert len(frames) == NUM_FRAMES
    return frames


def read_torchcodec(seek_mode: str, num_threads: int, path: Path) -> Any:
    """All in one call."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), seek_mode=seek_mode, num_ffmpeg_threads=num_threads)
    return decoder.get_frames_played_at(times_seconds(decoder.metadata.duration_seconds))


def read_decord(path: Path) -> Any:
    """All in one batch, by index."""
    import decord

    reader = decord.VideoReader(str(path))
    times = times_seconds(len(reader) / reader.get_avg_fps())
    return reader.get_batch([int(moment * reader.get_avg_fps()) for moment in times]).asnumpy()


def read_opencv(path: Path) -> Any:
    """Every frame is read; the wanted ones are kept."""
    capture = cv2.VideoCapture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS)
    wanted = {int(moment * fps) for moment in times_seconds(capture.get(cv2.CAP_PROP_FRAME_COUNT) / fps)}
    kept = []
    for index in range(max(wanted) + 1):
        is_there, frame = capture.read()
        if is_there and index in wanted:
            kept.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return kept


def read_pyav(path: Path) -> Any:
    """As a first attempt with PyAV would be: decode all, convert the wanted ones."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or 25)
        duration_seconds = float((stream.duration or 0) * (stream.time_base or 0))
        wanted = {int(moment * fps) for moment in times_seconds(duration_seconds)}
        return [f.to_ndarray(format="rgb24") for index, f in enumerate(container.decode(stream)) if index in wanted]


def race(readers: dict[str, Reader], rounds: list[list[Path]]) -> dict[str, list[float]]:
    """Milliseconds a clip, one figure a round; the readers take turns, and begin with another one each round."""
    measured: dict[str, list[float]] = {name: [] for name in readers}
    for number, paths in enumerate([rounds[0], *rounds]):
        names = list(readers)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            for path in paths:
                readers[name](path)
            if number > 0:  # the first round warms the file cache
                measured[name].append((time.perf_counter() - started) * 1e3 / len(paths))
    return measured


def report(title: str, measured: dict[str, list[float]]) -> None:
    """A line a reader, fastest first."""
    medians = {name: statistics.median(values) for name, values in measured.items()}
    best_peer_ms = min(ms for name, ms in medians.items() if name not in {OURS_EXACT, OURS_FAST})
    print(f"\n{title}\n{'reader':34} {'median ms':>10} {'least':>8} {'of the best peer':>17}")
    for name, ms in sorted(medians.items(), key=lambda item: item[1]):
        print(f"{name:34} {ms:10.1f} {min(measured[name]):8.1f} {ms / best_peer_ms:17.2f}", flush=True)


def memory_growth_bytes(path: Path) -> int:
    """How much the process's greatest memory grows by reading, in a process that has imported all it needs."""
    before = resident_bytes("VmRSS")
    read_ours(Picking.EXACT, path)
    return resident_bytes("VmHWM") - before


def resident_bytes(field: str) -> int:
    """Of this process, from the kernel's own account."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


class Scene:
    """What a hand-held camera might see: a textured background that pans, things that move across it, sensor noise."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._rng = np.random.default_rng(0)
        self._background = (
            self._texture(2 * width, height + 64, width / 40) // 2 + self._texture(2 * width, height + 64, 2) // 2
        )
        self._things = [self._texture(height // 4, height // 3, 6) for _ in range(4)]
        self._noise = self._rng.normal(0, 2.5, (height + 64, width + 64, 3)).astype(np.int16)

    def _texture(self, width: int, height: int, blur_pixels: float) -> Any:
        noise = cv2.GaussianBlur(self._rng.normal(size=(height, width, 3)), (0, 0), blur_pixels)
        return (128 + 50 * noise / noise.std()).clip(0, 255).astype(np.int16)

    def frame(self, number: int) -> Any:
        """``H×W×3`` uint8 RGB."""
        left = int(self._width / 2 * (1 - np.cos(number / 90)))
        top = int(32 + 30 * np.sin(number / 37))
        picture = self._background[top : top + self._height, left : left + self._width].copy()
        for index, thing in enumerate(self._things):
            height, width, _ = thing.shape
            x = int((self._width - width) / 2 * (1 + np.sin(number / (25 + 11 * index) + index)))
            y = int((self._height - height) / 2 * (1 + np.cos(number / (31 + 7 * index) + 2 * index)))
            picture[y : y + height, x : x + width] = thing
        down, right = self._rng.integers(0, 64, 2)
        picture += self._noise[down : down + self._height, right : right + self._width]
        return picture.clip(0, 255).astype(np.uint8)


def make_clip(recipe: ClipRecipe, path: Path) -> None:
    """Encode it; a long one is the same half minute again and again, copied without encoding."""
    once = path.with_stem(path.stem + " once") if recipe.repeats > 1 else path
    with av.open(str(once), "w") as container:
        stream: Any = container.add_stream(recipe.encoder, rate=recipe.fps, options=recipe.options)
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, "yuv420p"
        stream.thread_type = "FRAME"  # PyAV's default makes x264 cut frames into slices, as few recordings have
        scene = Scene(recipe.width, recipe.height)
        for number in range(recipe.fps * recipe.seconds):
            rgb = scene.frame(number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    if once != path:
        repeat(once, path, recipe)


def repeat(once: Path, path: Path, recipe: ClipRecipe) -> None:
    """Its packets again and again, each time later."""
    with av.open(str(once)) as source, av.open(str(path), "w") as target:
        template = source.streams.video[0]
        stream = target.add_stream_from_template(template)
        assert template.time_base
        lasts = int(Fraction(recipe.seconds) / template.time_base)
        contents = [
            (bytes(packet), packet.pts or 0, packet.dts or 0, packet.is_keyframe, packet.duration)
            for packet in source.demux(template)
            if packet.size
        ]
        for number in range(recipe.repeats):
            for content, pts, dts, is_keyframe, duration in contents:
                packet = av.Packet(content)
                packet.pts, packet.dts, packet.time_base = (
                    pts + number * lasts,
                    dts + number * lasts,
                    template.time_base,
                )
                packet.is_keyframe, packet.duration, packet.stream = is_keyframe, duration, stream
                target.mux(packet)


if __name__ == "__main__":
    main()
