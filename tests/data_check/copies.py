"""Copies of clips as people make them (encoded anew, at other rates and sizes, cut, mirrored); and clips to copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from videoclf.media.frames import UInt8Array


@dataclass(frozen=True)
class CopyKind:
    """What is done to a clip."""

    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    quantiser: int | None = None
    """For MPEG-4: 2 is best, 31 worst."""
    fps: int | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    """Of width and height."""
    trimmed: tuple[float, float] = (0.0, 0.0)
    """Share of the frames cut off at the start and at the end."""
    is_mirrored: bool = False


def _x264(crf: int) -> dict[str, str]:
    return {"crf": str(crf), "preset": "veryfast"}


KINDS = {
    "H.264, low quality (crf 34)": CopyKind(options=_x264(34)),
    "MPEG-4, low quality (q 16)": CopyKind(codec="mpeg4", quantiser=16),
    "HEVC (crf 32)": CopyKind("libx265", {"crf": "32", "preset": "ultrafast", "x265-params": "log-level=none"}),
    "VP8": CopyKind("libvpx", {"deadline": "realtime", "cpu-used": "8", "b": "150k"}),
    "12 frames a second": CopyKind(fps=12),
    "15 frames a second": CopyKind(fps=15),
    "30 frames a second": CopyKind(fps=30),
    "scaled by 0.5": CopyKind(scale=(0.5, 0.5)),
    "scaled by 1.6": CopyKind(scale=(1.6, 1.6)),
    "stretched by 1.4": CopyKind(scale=(1.4, 1.0)),
    "start cut off (30%)": CopyKind(trimmed=(0.3, 0.0)),
    "end cut off (30%)": CopyKind(trimmed=(0.0, 0.3)),
    "both cut off (21%, 19%)": CopyKind(trimmed=(0.21, 0.19)),
    "mirrored": CopyKind(is_mirrored=True),
    "mirrored, cut, scaled by 0.5, crf 28": CopyKind(
        options=_x264(28), scale=(0.5, 0.5), trimmed=(0.2, 0.15), is_mirrored=True
    ),
    "12 frames a second, cut, scaled by 0.7, MPEG-4 q 12": CopyKind(
        codec="mpeg4", quantiser=12, fps=12, scale=(0.7, 0.7), trimmed=(0.15, 0.2)
    ),
    "15 frames a second, cut, squeezed, mirrored, crf 28": CopyKind(
        options=_x264(28), fps=15, scale=(0.6, 0.75), trimmed=(0.17, 0.2), is_mirrored=True
    ),
}
"""What must be found."""

KINDS_BEYOND = {
    "H.264, hardly legible (crf 40)": CopyKind(options=_x264(40)),
    "mirrored, cut, scaled by 0.5, hardly legible (crf 36)": CopyKind(
        options=_x264(36), scale=(0.5, 0.5), trimmed=(0.2, 0.15), is_mirrored=True
    ),
}
"""What is measured too, but not promised: of somebody who waves, hardly the arms are left."""


def write_copy(source: Path, folder: Path, kind: CopyKind) -> Path:
    """Make a copy of a clip in a folder, under the same name (``.mkv``)."""
    with av.open(str(source)) as container:
        source_fps = float(container.streams.video[0].average_rate or 25)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    first, last = (round(share * len(frames)) for share in kind.trimmed)
    frames = frames[first : len(frames) - last]
    if kind.fps is not None:
        num_frames = max(1, int(len(frames) / source_fps * kind.fps))
        shown = ((np.arange(num_frames) + 0.5) / kind.fps * source_fps).astype(int)
        frames = [frames[min(i, len(frames) - 1)] for i in shown]
    height, width = frames[0].shape[:2]
    size = (round(width * kind.scale[0] / 2) * 2, round(height * kind.scale[1] / 2) * 2)
    scaled = [
        cv2.resize(frame[:, :: -1 if kind.is_mirrored else 1], size, interpolation=cv2.INTER_AREA) for frame in frames
    ]
    path = folder / f"{source.stem}.mkv"
    write_frames(path, np.stack(scaled), kind.fps or source_fps, kind.codec, kind.options, kind.quantiser)
    return path


def write_frames(
    path: Path,
    frames: UInt8Array,
    fps: float = 25,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    quantiser: int | None = None,
) -> Path:
    """Encode frames (``T×H×W×3`` RGB, even height and width)."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000), options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        if quantiser is not None:
            stream.codec_context.qmin = stream.codec_context.qmax = quantiser
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def draw_scene(seed: int, *, place: int = 0, num_frames: int = 60, width: int = 128, height: int = 96) -> UInt8Array:
    """Some discs that wander in front of a wall: ``T×H×W×3``.

    Args:
        seed: of what moves.
        place: of what stands still; scenes of one place differ in what moves alone.
        num_frames: at 25 a second.
        width: of a frame.
        height: of a frame.
    """
    wall = np.random.default_rng([place, 99]).integers(40, 140, (9, 12, 3), dtype=np.uint8)
    background = cv2.resize(wall, (width, height), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(seed)
    num_discs = 3
    phases, speeds = rng.uniform(0, 2 * np.pi, (num_discs, 2)), rng.uniform(0.05, 0.16, (num_discs, 2))
    colours = rng.integers(0, 256, (num_discs, 3))
    frames = []
    for number in range(num_frames):
        frame = background.copy()
        for phase, speed, colour in zip(phases, speeds, colours, strict=True):
            x, y = 0.5 + 0.4 * np.sin(phase + speed * number)
            cv2.circle(frame, (int(x * width), int(y * height)), height // 9, tuple(map(int, colour)), -1, cv2.LINE_AA)
        frames.append(frame)
    return np.stack(frames)
