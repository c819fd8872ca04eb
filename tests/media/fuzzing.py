"""Damaged and hostile videos by the thousand, the same ones each time: seeds, what is done to them, and what they do.

A case is a number: ``random.Random`` seeded by it picks a seed clip and mutates it, so that one case can be run again
alone. (The clips are encoded on the spot, and another version of PyAV makes other bytes: what fails is kept as a file.)
"""

from __future__ import annotations

import functools
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from videoclf.errors import VideoclfError
from videoclf.media.isolated import IsolatedVideo
from videoclf.media.options import ReadOptions

_CODECS = {
    "3gp": "h263 libx264 mpeg4",
    "avi": (
        "mpeg4 msmpeg4v2 msmpeg4 mjpeg huffyuv ffvhuff ffv1 utvideo magicyuv zlib zmbv msvideo1 asv1 asv2 cljr flashsv "
        "h261 jpegls ljpeg speedhq targa v408 y41p rawvideo amv cinepak libx264 snow vp8"
    ),
    "dv": "dvvideo",
    "flv": "flv flashsv2 libx264 libx265 libsvtav1",
    "gif": "gif",
    "h264": "libx264",
    "hevc": "libx265",
    "ivf": "libvpx libvpx-vp9 libsvtav1",
    "m1v": "mpeg1video",
    "m2v": "mpeg2video",
    "m4v": "mpeg4",
    "mkv": "libx264 libx265 mpeg4 mpeg1video rawvideo snow ffv1 prores_ks msmpeg4 jpeg2000",
    "mov": "prores_ks cfhd dxv qtrle rpza svq1 h263 v210 r210 gif exr cinepak mjpeg libx264 libx265 dpx sgi",
    "mp4": "libx264 libx265 mpeg4 mpeg2video libvpx-vp9 libsvtav1 mjpeg ffv1 png jpeg2000",
    "mpg": "mpeg1video mpeg2video libx264",
    "mxf": "mpeg2video jpeg2000 prores_ks libx264",
    "nut": "ffv1 mpeg4 gif zmbv snow libx264 magicyuv",
    "obu": "libsvtav1",
    "ogv": "libvpx",
    "rm": "rv10 rv20",
    "ts": "mpeg2video libx264 libx265 mpeg4",
    "vob": "mpeg2video",
    "webm": "libvpx libvpx-vp9 libsvtav1",
    "wmv": "wmv1 wmv2 msmpeg4 mpeg4",
    "y4m": "rawvideo",
}  # fmt: skip
"""Every container that the gate admits and PyAV writes, with codecs for each demuxer and decoder."""

_MUXERS = {
    "m1v": "mpeg1video", "m2v": "mpeg2video", "mkv": "matroska", "mpg": "mpeg", "ogv": "ogg", "ts": "mpegts",
    "wmv": "asf", "y4m": "yuv4mpegpipe",
}  # fmt: skip
"""Where the muxer is not called as the files are."""

_SIZES = {"h261": (176, 144), "h263": (128, 96), "dvvideo": (720, 576)}
"""Where 64×48 is not allowed."""

_OPTIONS = {
    "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
    "libvpx-vp9": {"deadline": "realtime"},
    "mpeg4": {"bf": "2"},
    "mpeg2video": {"bf": "2"},
}

_PIXEL_FORMATS = ("yuv420p", "yuvj420p", "yuv422p", "yuv422p10le", "yuv444p", "rgb24", "bgr24", "bgr0", "rgb8", "pal8")
"""The first that a codec takes; else its own first."""

_NUM_FRAMES = 12
_MAX_FOREIGN_BYTES = 200_000
_MAX_MOMENTS = 2000
_FPS = 12.5


@dataclass(frozen=True)
class Seed:
    """A sound clip."""

    name: str
    make: Callable[[], bytes] = field(repr=False)

    @functools.cached_property
    def content(self) -> bytes:
        return self.make()


def coded_seeds() -> list[Seed]:
    """Every container and codec of the table, encoded when first asked for."""
    return [
        Seed(f"{codec}.{suffix}", functools.partial(_encode, codec, suffix))
        for suffix, codecs in _CODECS.items()
        for codec in codecs.split()
    ]


def foreign_seeds(folder: Path) -> list[Seed]:
    """The small files below a folder that the gate would admit or refuse alike."""
    paths = (
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in {".json", ".md", ".txt"}
    )
    return [Seed(path.name, path.read_bytes) for path in paths if path.stat().st_size <= _MAX_FOREIGN_BYTES]


def _encode(codec: str, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seed.{suffix}"
        with av.open(str(path), "w", format=_MUXERS.get(suffix, suffix), options={"fflags": "+bitexact"}) as container:
            stream: Any = container.add_stream(
                codec, rate=25, options={"strict": "experimental", **_OPTIONS.get(codec, {})}
            )
            stream.width, stream.height = _SIZES.get(codec, (64, 48))
            offered = [each.name for each in stream.codec.video_formats or []]
            stream.pix_fmt = [*(name for name in _PIXEL_FORMATS if name in offered), *offered, _PIXEL_FORMATS[0]][0]
            stream.codec_context.thread_count = 1
            stream.codec_context.gop_size = 5
            for number in range(_NUM_FRAMES):
                container.mux(stream.encode(_picture(number, stream.width, stream.height)))
            container.mux(stream.encode(None))
        return path.read_bytes()


def _picture(number: int, width: int, height: int) -> Any:
    """Slanted bands that move, and some noise: something to predict, and something left over."""
    rows, columns = np.mgrid[:height, :width]
    bands = (rows[..., None] * 3 + columns[..., None] * np.array([2, 5, 9]) + 11 * number) % 256
    noise = np.random.default_rng(number).integers(0, 24, (height, width, 3))
    return av.VideoFrame.from_ndarray(np.minimum(bands + noise, 255).astype(np.uint8), format="rgb24")


def _range(rng: random.Random, content: bytearray, most: int = 4096) -> slice:
    first = rng.randrange(len(content))
    return slice(first, min(len(content), first + 1 + int(rng.random() ** 3 * most)))


def _flip_bits(rng: random.Random, content: bytearray, __: bytes) -> None:
    for _ in range(1 + int(rng.random() ** 3 * 100)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, content: bytearray, __: bytes) -> None:
    del content[max(1, rng.randrange(len(content))) :]


def _drop(rng: random.Random, content: bytearray, __: bytes) -> None:
    del content[_range(rng, content)]


def _zero(rng: random.Random, content: bytearray, __: bytes) -> None:
    where = _range(rng, content)
    content[where] = bytes(where.stop - where.start)


def _scramble(rng: random.Random, content: bytearray, __: bytes) -> None:
    where = _range(rng, content, 256)
    content[where] = rng.randbytes(where.stop - where.start)


def _double(rng: random.Random, content: bytearray, __: bytes) -> None:
    where = _range(rng, content)
    content[where.stop : where.stop] = content[where] * rng.choice((1, 1, 1, 2, 20))


def _splice(rng: random.Random, content: bytearray, other: bytes) -> None:
    content[rng.randrange(len(content)) :] = other[rng.randrange(len(other)) :]


def _implant(rng: random.Random, content: bytearray, other: bytes) -> None:
    where = _range(rng, bytearray(other))
    first = rng.randrange(len(content))
    content[first : first + where.stop - where.start] = other[where]


def _edit_header(rng: random.Random, content: bytearray, __: bytes) -> None:
    for _ in range(rng.randrange(1, 9)):
        content[rng.randrange(min(1024, len(content)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _edit_size(rng: random.Random, content: bytearray, __: bytes) -> None:
    """A number before a four-letter name (MP4) or after one (AVI), or anywhere, becomes another."""
    num_bytes = rng.choice((1, 2, 4, 4, 4, 8))
    names = [match.start() for match in re.finditer(rb"[A-Za-z][A-Za-z0-9 ]{3}", content)]
    at = rng.choice(names) + rng.choice((-4, 4, 8)) if names and rng.random() < 0.7 else rng.randrange(len(content))
    top = 1 << 8 * num_bytes
    value = rng.choice((0, 1, top // 2 - 1, top // 2, top - 1, len(content), rng.randrange(top), rng.randrange(1000)))
    at = min(max(0, at), len(content))
    content[at : at + num_bytes] = (value % top).to_bytes(num_bytes, rng.choice(("big", "little")))


_MUTATIONS: Sequence[Callable[[random.Random, bytearray, bytes], None]] = (
    _flip_bits, _flip_bits, _cut, _drop, _zero, _scramble, _double, _splice, _implant, _edit_header, _edit_size,
    _edit_size,
)  # fmt: skip


def mutated(case: int, seeds: Sequence[Seed]) -> tuple[str, bytes]:
    """The name and content of a case."""
    rng = random.Random(case)
    seed, other = rng.choice(seeds), rng.choice(seeds)
    content = bytearray(seed.content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        rng.choice(_MUTATIONS)(rng, content, other.content)
        content = content or bytearray(1)
    if rng.random() < 0.8:  # else the gate sees most of them first
        content[:12] = seed.content[:12]
    return f"case-{case}-{seed.name}", bytes(content)


@dataclass
class Tally:
    """What became of the cases."""

    kept_folder: Path
    """Where crashes, stalls and untyped exceptions leave their files."""
    outcomes: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    stalls: list[str] = field(default_factory=list)
    num_frames: int = 0
    slowest: tuple[float, str] = (0.0, "")
    peak_child_bytes: int = 0
    _pid: int | None = None

    def run(self, name: str, content: bytes, folder: Path, options: ReadOptions) -> None:
        """Read one file, as much as there is within bounds."""
        path = folder / name
        path.write_bytes(content)
        started = time.perf_counter()
        concern = self._read(path, options)
        self.slowest = max(self.slowest, (time.perf_counter() - started, name))
        if concern is not None:
            self.kept_folder.mkdir(parents=True, exist_ok=True)
            (self.kept_folder / name).write_bytes(content)
            concern[0].append(f"{name} ({concern[1]})")
        path.unlink()

    def _read(self, path: Path, options: ReadOptions) -> tuple[list[str], str] | None:
        """The list that the case belongs on, if on any, and why."""
        try:
            with IsolatedVideo(path, options, num_threads=2) as video:
                self._pid = video.child_pid
                num_frames = sum(1 for _ in islice(video.frames(video.plan(_FPS)), _MAX_MOMENTS))
                self.outcomes["read, with a warning" if video.warnings else "read"] += 1
                self.num_frames += num_frames
                self._watch_memory()
        except VideoclfError as error:
            self.outcomes[type(error).__name__] += 1
            self._watch_memory()
            if re.search(r"the codec (crashed|ended)|was killed|gave nonsense", str(error)):
                return self.crashes, str(error)
            if "was stuck" in str(error):
                return self.stalls, str(error)
        except Exception as error:
            self.outcomes[f"UNTYPED {type(error).__name__}"] += 1
            return self.untyped, (str(error).strip() or repr(error)).splitlines()[-1]  # of the child's traceback
        return None

    def _watch_memory(self) -> None:
        try:
            lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        except OSError:
            return
        peaks = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
        self.peak_child_bytes = max(self.peak_child_bytes, *peaks, 0)

    def __str__(self) -> str:
        rows = [f"{number:6} {outcome}" for outcome, number in sorted(self.outcomes.items())]
        rows += [f"{len(names):6} {kind} {' '.join(names)}" for kind, names in self._lists()]
        seconds, name = self.slowest
        return "\n".join((
            f"{sum(self.outcomes.values())} cases, {self.num_frames} frames",
            *rows,
            f"slowest: {seconds:.2f} s ({name}); most memory of a child: {self.peak_child_bytes >> 20} MiB",
        ))  # fmt: skip

    def _lists(self) -> list[tuple[str, list[str]]]:
        return [("crashes contained", self.crashes), ("stalls", self.stalls), ("untyped", self.untyped)]
