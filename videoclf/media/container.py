"""Opening a container that the gate admitted, and reading its packets without decoding them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import av.stream
import numpy as np
import numpy.typing as npt

from videoclf.errors import DecodeFailed, NoVideoStream, SourceRefused, one_line
from videoclf.media.frames import Float64Array
from videoclf.media.gate import Admission
from videoclf.media.limits import Limits

_ASSUMED_FPS = 25.0
"""For a bare stream without timestamps, as FFmpeg assumes."""


@dataclass(frozen=True)
class PacketTimes:
    """What a container's packets say of time; they are right more often than what its header says."""

    start_seconds: float
    duration_seconds: float
    average_fps: float
    has_variable_fps: bool | None
    """None where packets carry no timestamps."""
    declared_seconds: float | None
    """What the header claims that the video lasts."""

    @property
    def shortfall(self) -> str:
        """What is missing of the length that the header claims, in words; empty where it is there."""
        declared = self.declared_seconds or 0.0
        if declared - self.duration_seconds <= max(0.1, 0.02 * declared):
            return ""
        return f"cut short or damaged: {self.duration_seconds:.2f} s of the {declared:.2f} s that it declares are there"


def open_container(admission: Admission) -> Any:
    """An admitted file in the demuxer that its content asked for; the caller closes it.

    Raises:
        DecodeFailed: the container is damaged.
    """
    try:
        return av.open(
            admission.url,
            format=admission.demuxer,
            container_options={"protocol_whitelist": "file"},
            metadata_errors="replace",  # names in other encodings than UTF-8 would raise otherwise
        )
    except (av.error.FFmpegError, ValueError) as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        raise DecodeFailed(
            f"{admission.path}: looks like {admission.demuxer}, but cannot be opened ({reason}); "
            "it is damaged or cut short: get it again"
        ) from error


def choose_video_stream(container: Any, path: Path) -> Any:
    """The stream a player would show; cover pictures of sound files do not count.

    Raises:
        NoVideoStream: there is none.
        DecodeFailed: its codec is unknown here.
    """
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        held = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise NoVideoStream(f"{path}: has no video stream (it holds {held}); give a file with pictures")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise DecodeFailed(f"{path}: its video codec is unknown here; convert it with: ffmpeg -i IN out.mp4")
    return stream


def iterate_packets(container: Any, stream: Any) -> Iterator[Any]:
    """The stream's packets; where the container breaks off, the error is the last item instead of being raised."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as error:
            yield error
            return
        if packet is None:
            return
        yield packet


def scan_times(admission: Admission, limits: Limits) -> PacketTimes:
    """Read all packets of the video stream, decoding none: when it starts, how long it lasts, whether rates vary.

    Raises:
        NoVideoStream, DecodeFailed: as `choose_video_stream`; or not one packet.
        SourceRefused: longer than the limits allow.
    """
    container = open_container(admission)
    try:
        stream = choose_video_stream(container, admission.path)
        stamps, last_duration, num_packets = _stamps(container, stream)
        tick_seconds = float(stream.time_base or 0)
        declared_fps = float(stream.average_rate) if stream.average_rate else None
        declared_seconds = _declared_seconds(container, stream)
    finally:
        container.close()
    times = _times(
        stamps.astype(np.float64) * tick_seconds,
        last_duration * tick_seconds,
        num_packets,
        declared_fps,
        declared_seconds,
    )
    if times.duration_seconds > limits.max_duration_seconds:
        raise SourceRefused(
            f"{admission.path}: lasts {times.duration_seconds:.0f} s by its timestamps, more than the "
            f"{limits.max_duration_seconds:.0f} s allowed; it is damaged, or should be cut: "
            "ffmpeg -i IN -t 3600 -c copy out.mp4"
        )
    if times.average_fps * limits.max_seconds_per_frame < 1:
        raise SourceRefused(
            f"{admission.path}: shows a frame every {1 / times.average_fps:.0f} s, rarer than one in "
            f"{limits.max_seconds_per_frame:.0f} s; it is damaged: get it again"
        )
    return times


def _declared_seconds(container: Any, stream: Any) -> float | None:
    """The stream's own claim, or the container's where no sound could be what lasts longer."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return float(container.duration) / av.time_base
    return None


def _stamps(container: Any, stream: Any) -> tuple[npt.NDArray[np.int64], int, int]:
    """Ascending presentation stamps in ticks, the last packet's duration in ticks, and how many packets there are."""
    stamps: list[int] = []
    durations: list[int] = []
    num_packets = 0
    for packet in iterate_packets(container, stream):
        if isinstance(packet, av.error.FFmpegError) or packet.size == 0 or packet.is_discard:
            continue
        num_packets += 1
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            stamps.append(stamp)
            durations.append(packet.duration or 0)
    order = np.argsort(np.array(stamps, dtype=np.int64), kind="stable")
    last_duration = durations[order[-1]] if stamps else 0
    return np.array(stamps, dtype=np.int64)[order], last_duration, num_packets


def _times(
    stamps_seconds: Float64Array,
    last_seconds: float,
    num_packets: int,
    declared_fps: float | None,
    declared_seconds: float | None,
) -> PacketTimes:
    if len(stamps_seconds) < 2 or stamps_seconds[-1] <= stamps_seconds[0]:
        fps = declared_fps or _ASSUMED_FPS
        start = float(stamps_seconds[0]) if len(stamps_seconds) else 0.0
        varies = False if len(stamps_seconds) == 1 else None
        return PacketTimes(start, num_packets / fps, fps, varies, declared_seconds)
    gaps = np.diff(stamps_seconds)
    last_seconds = last_seconds or float(np.median(gaps))
    duration = float(stamps_seconds[-1] - stamps_seconds[0]) + last_seconds
    # a millisecond of rounding (Matroska) is not a varying rate
    varies = bool(gaps.max() - gaps.min() > 2e-3 + 0.01 * float(np.median(gaps)))
    return PacketTimes(float(stamps_seconds[0]), duration, len(stamps_seconds) / duration, varies, declared_seconds)
