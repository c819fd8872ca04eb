"""Opens a container that the gate admitted, and reads its packets without decoding them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import av
import av.error
import av.stream
import numpy as np

from videoclf.errors import DecodeFailedError, NoVideoStreamError, SourceRefusedError, one_line
from videoclf.media.gate import Admission
from videoclf.media.limits import Limits
from videoclf.media.options import ReadOptions
from videoclf.media.packets import Int64Array, PacketTable

_ASSUMED_FPS = 25.0
"""For a bare stream without timestamps, as FFmpeg assumes."""

_WITHOUT_PRESENTATION_STAMPS = frozenset({"avi", "h264", "hevc", "m4v", "mpegvideo", "rm", "vc1"})
"""Demuxers that know decoding stamps at most, and guess the others."""

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class PacketTimes:
    """Times that follow from a container's packets, which are correct more often than its header."""

    start_seconds: float
    duration_seconds: float
    average_fps: float
    has_variable_fps: bool | None
    """None if packets have no timestamps."""
    declared_seconds: float | None
    """The duration that the header claims."""

    @property
    def shortfall(self) -> str:
        """How much of the duration that the header claims is missing, as text; empty if nothing is missing."""
        declared = self.declared_seconds or 0.0
        if declared - self.duration_seconds <= max(0.1, 0.02 * declared):
            return ""
        return (
            f"cut short or damaged: {self.duration_seconds:.2f} s of the {declared:.2f} s that it declares are present"
        )


@dataclass(frozen=True)
class StreamScan:
    """The result of reading a video stream's packets once."""

    times: PacketTimes
    table: PacketTable | None
    """None if timestamps are missing, repeated or known to be guesses: then only decoding shows the order."""
    presentation_is_guessed: bool
    """The container has no presentation timestamps (mostly AVI), and the codec reorders frames."""

    def from_frame(self, pts_ticks: int | None) -> StreamScan:
        """The same scan for a stream whose first decodable frame is shown at ``pts_ticks``: time counts from there."""
        if self.table is None or pts_ticks is None or pts_ticks <= self.table.shown_ticks[0]:
            return self
        if self.table.ordinal_of(pts_ticks) is None:
            return replace(self, table=None)
        missing_seconds = float(pts_ticks - self.table.shown_ticks[0]) * self.table.tick_seconds
        times = replace(
            self.times,
            start_seconds=self.times.start_seconds + missing_seconds,
            duration_seconds=self.times.duration_seconds - missing_seconds,
        )
        return replace(self, times=times, table=replace(self.table, first_shown_ticks=pts_ticks))


def open_container(admission: Admission, limits: Limits) -> Any:
    """Open an admitted file with the demuxer that its content needs; the caller closes it.

    Raises:
        DecodeFailedError: the container is damaged.
        SourceRefusedError: it contains more streams than allowed.
    """
    try:
        container = av.open(
            admission.url,
            format=admission.demuxer,
            options={"max_pixels": str(limits.max_pixels_per_frame)},
            container_options={"protocol_whitelist": "file", "max_streams": str(limits.max_streams + 1)},
            metadata_errors="replace",  # names in other encodings than UTF-8 would raise otherwise
        )
    except av.error.MemoryError:
        raise SourceRefusedError(
            "opening it takes more memory than is available",
            source=admission.path,
            hint="download or copy it again",
        ) from None
    except (av.error.FFmpegError, ValueError) as error:
        reason = one_line(getattr(error, "strerror", None) or error)
        raise DecodeFailedError(
            f"looks like {admission.demuxer}, but cannot be opened ({reason})",
            source=admission.path,
            hint="it is damaged or cut short: download or copy it again",
        ) from error
    if len(container.streams) > limits.max_streams:
        num_streams = len(container.streams)
        container.close()
        raise SourceRefusedError(
            f"contains {num_streams} streams, more than the {limits.max_streams} allowed",
            source=admission.path,
            hint="keep only its video with: ffmpeg -i IN -map 0:v:0 -c copy out.mp4",
        )
    return container


def choose_video_stream(container: Any, admission: Admission, options: ReadOptions) -> Any:
    """Choose the requested stream, or the one that a player would show. Cover images of audio files do not count.

    Raises:
        NoVideoStreamError: there is none, or none with the requested number.
        DecodeFailedError: its codec is not supported.
    """
    path = admission.path
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        held = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise NoVideoStreamError(
            f"has no video stream (it contains {held})", source=path, hint="use a file that contains video"
        )
    if options.video_stream is not None:
        if options.video_stream >= len(streams):
            raise NoVideoStreamError(
                f"has {len(streams)} video streams, but none with number {options.video_stream} (numbers start at 0)",
                source=path,
            )
        stream = streams[options.video_stream]
    else:
        best = container.streams.best("video")
        stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise DecodeFailedError(
            "its video codec is not supported", source=path, hint="convert it with: ffmpeg -i IN out.mp4"
        )
    for other in container.streams:
        if other is not stream:
            other.discard = av.stream.Discard.all  # most demuxers then do not even read it
    return stream


def iterate_packets(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the stream's packets. If the container breaks off, the error is the last item and is not raised."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except IndexError:  # PyAV does not know a stream that the demuxer finds only now
            packets = container.demux(stream)
            continue
        except av.error.FFmpegError as error:
            yield error
            return
        if packet is None:
            return
        yield packet


def shows_a_frame(packet: Any) -> bool:
    """Whether a packet counts: not the empty one that ends a stream, and none that an edit list skips."""
    return packet.size > 0 and not packet.is_discard


def scan_packets(
    packets: Iterable[Any], container: Any, stream: Any, admission: Admission, limits: Limits
) -> StreamScan:
    """Read all packets of a video stream without decoding: when each frame is shown, and the video's duration.

    Args:
        packets: from `iterate_packets`.
        container: the container that they come from.
        stream: the stream that they belong to.
        admission: the file.
        limits: bounds beyond which the file is refused.

    Raises:
        SourceRefusedError: the video is longer than the limits allow.
    """
    pts, dts, keyframes = array("q"), array("q"), bytearray()
    last_pts, last_duration = _NEVER, 0
    if stream.frames > limits.max_packets:
        raise _too_many_packets(admission, limits)
    for packet in packets:
        if isinstance(packet, av.error.FFmpegError) or not shows_a_frame(packet):
            continue
        packet_pts, packet_dts = packet.pts, packet.dts
        pts.append(_NEVER if packet_pts is None else packet_pts)
        dts.append(_NEVER if packet_dts is None else packet_dts)
        keyframes.append(packet.is_keyframe)
        if len(pts) > limits.max_packets:
            raise _too_many_packets(admission, limits)
        stamp = packet_pts if packet_pts is not None else packet_dts
        if stamp is not None and stamp >= last_pts:
            last_pts, last_duration = stamp, packet.duration or 0
    tick_seconds = float(stream.time_base or 0)
    table = PacketTable(np.array(pts, np.int64), np.array(dts, np.int64), np.array(keyframes, np.bool_), tick_seconds)
    reorders = stream.codec_context.has_b_frames or stream.codec_context.reorder_depth > 0
    is_guessed = bool(reorders and admission.demuxer in _WITHOUT_PRESENTATION_STAMPS)
    first_choice, second_choice = (
        (table.dts_ticks, table.pts_ticks) if is_guessed else (table.pts_ticks, table.dts_ticks)
    )
    stamps_ticks = np.where(first_choice == _NEVER, second_choice, first_choice)
    times = _times(stamps_ticks, tick_seconds, last_duration * tick_seconds, container, stream)
    _check_times(times, admission, limits)
    believable = _stamps_differ(table) and not is_guessed and not (reorders and _all_rise(table))
    return StreamScan(times, table if believable else None, is_guessed)


def _too_many_packets(admission: Admission, limits: Limits) -> SourceRefusedError:
    return SourceRefusedError(
        f"has more than the {limits.max_packets:,} frames allowed",
        source=admission.path,
        hint="if it is not damaged, shorten it with: ffmpeg -i IN -t 3600 -c copy out.mp4",
    )


def _stamps_differ(table: PacketTable) -> bool:
    pts = table.pts_ticks
    return len(pts) > 0 and not (pts == _NEVER).any() and len(np.unique(pts)) == len(pts)


def _all_rise(table: PacketTable) -> bool:
    """From packet to packet: of a codec that reorders frames, the stamps then say nothing of their order."""
    return len(table) > 1 and bool((np.diff(table.pts_ticks) > 0).all())


def _check_times(times: PacketTimes, admission: Admission, limits: Limits) -> None:
    if times.duration_seconds > limits.max_duration_seconds:
        raise SourceRefusedError(
            f"lasts {times.duration_seconds:.0f} s by its timestamps, more than the "
            f"{limits.max_duration_seconds:.0f} s allowed",
            source=admission.path,
            hint="if it is not damaged, shorten it with: ffmpeg -i IN -t 3600 -c copy out.mp4",
        )
    if times.average_fps * limits.max_seconds_per_frame < 1:
        raise SourceRefusedError(
            f"shows a frame every {1 / times.average_fps:.0f} s, less often than one in "
            f"{limits.max_seconds_per_frame:.0f} s",
            source=admission.path,
            hint="it is damaged: download or copy it again",
        )


def _declared_seconds(container: Any, stream: Any) -> float | None:
    """The stream's own claim, or the container's where no sound could be what lasts longer."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return float(container.duration) / av.time_base
    return None


def _times(
    stamps_ticks: Int64Array, tick_seconds: float, last_seconds: float, container: Any, stream: Any
) -> PacketTimes:
    declared_seconds = _declared_seconds(container, stream)
    stamps_seconds = np.sort(stamps_ticks[stamps_ticks != _NEVER]).astype(np.float64) * tick_seconds
    if len(stamps_seconds) < 2 or stamps_seconds[-1] <= stamps_seconds[0]:
        rate = stream.average_rate if len(stamps_seconds) else stream.guessed_rate or stream.average_rate
        fps = float(rate) if rate else _ASSUMED_FPS
        start = float(stamps_seconds[0]) if len(stamps_seconds) else 0.0
        varies = False if len(stamps_seconds) == 1 else None
        return PacketTimes(start, len(stamps_ticks) / fps, fps, varies, declared_seconds)
    gaps = np.diff(stamps_seconds)
    last_seconds = last_seconds or float(np.median(gaps))
    duration = float(stamps_seconds[-1] - stamps_seconds[0]) + last_seconds
    # a millisecond of rounding (Matroska) is not a varying rate
    varies = bool(gaps.max() - gaps.min() > 2e-3 + 0.01 * float(np.median(gaps)))
    return PacketTimes(float(stamps_seconds[0]), duration, len(stamps_seconds) / duration, varies, declared_seconds)
