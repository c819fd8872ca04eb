"""One open video: what it is, and its frames at the moments of a plan. (PyAV: FFmpeg inside the wheel.)"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np

from videoclf.errors import DecodeFailed, SourceRefused, one_line
from videoclf.media.container import (
    choose_video_stream,
    iterate_packets,
    open_container,
    scan_times,
)
from videoclf.media.frames import RgbFrame, RgbFrames, UInt8Array, VideoInfo
from videoclf.media.gate import admit
from videoclf.media.limits import DEFAULT_LIMITS, Limits
from videoclf.media.sampling import MOMENT_TOLERANCE_SECONDS, SamplingPlan, plan_constant_rate
from videoclf.media.stamps import trusted_stamps

_MAX_STAMP_ROUNDING_SECONDS = 0.5e-3
"""Containers round timestamps to their time base; Matroska's millisecond is the coarsest that is not exact anyway."""


class Video:
    """An open video file. Use it as a context manager; it is not shared between threads.

    Args:
        path: a file; the gate decides whether a decoder may see it.
        limits: what is refused.
        num_threads: threads of the codec; 1 where several videos are read at once, 0 for as many as there are cores.

    Raises:
        SourceMissing, SourceRefused: the gate, or a limit.
        NoVideoStream: sound or subtitles only.
        DecodeFailed: the container cannot be opened, or its codec is unknown here.
    """

    def __init__(self, path: str | Path, *, limits: Limits = DEFAULT_LIMITS, num_threads: int = 0) -> None:
        admission = admit(Path(path))
        self.path = admission.path
        self._num_damaged = 0
        self._damage = "no frame in it"
        self._ended_early = ""
        self._limits = limits
        self._times = scan_times(admission, limits)
        self._container = open_container(admission)
        try:
            self._stream = choose_video_stream(self._container, self.path)
            _check_size(self._stream.codec_context.width, self._stream.codec_context.height, self.path, limits)
            self._stream.thread_type = "AUTO"
            self._stream.codec_context.thread_count = num_threads
            self._decoded_frames = self._decode()
            first = next(self._decoded_frames)
            self.info = self._describe(first)
        except BaseException:
            self._container.close()
            raise
        self._frames = chain([first], self._decoded_frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._container.close()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found wrong so far; complete once `frames` is exhausted."""
        damage = f"{self._num_damaged} damaged packets were passed over ({self._damage})" if self._num_damaged else ""
        return tuple(filter(None, (self._times.shortfall, damage, self._ended_early)))

    def plan(self, fps: float) -> SamplingPlan:
        """All moments of this video at a constant rate (moments a second)."""
        return plan_constant_rate(self.info.duration_seconds, fps=fps)

    def frames(self, plan: SamplingPlan) -> Iterator[RgbFrame]:
        """The frame on display at each moment of the plan, in order; call it once for an open video.

        Fewer come where the video ends, or is damaged beyond reading, before the plan does; `warnings` then says so.

        Raises:
            DecodeFailed: not one frame could be decoded.
            SourceRefused: a frame over the limits.
        """
        moments = plan.timestamps_seconds
        num_served = 0
        for shown, from_seconds, until_seconds in self._shown_intervals():
            rgb: UInt8Array | None = None
            while num_served < len(moments) and moments[num_served] < until_seconds:
                if rgb is None:
                    rgb = self._to_rgb(shown)
                yield RgbFrame(rgb, from_seconds)
                num_served += 1
            if num_served == len(moments):
                return
        if num_served < len(moments) - 1:  # one moment may fall to rounding at the very end
            self._ended_early = f"ended early: {num_served} of {len(moments)} moments could be read"

    def _shown_intervals(self) -> Iterator[tuple[av.VideoFrame, float, float]]:
        """Each decoded frame with the seconds, from the first frame, between which it is on display."""
        tick_seconds = float(self._stream.time_base or 0)
        rounding_seconds = min(tick_seconds / 2, _MAX_STAMP_ROUNDING_SECONDS) + MOMENT_TOLERANCE_SECONDS
        frame_seconds = 1 / self.info.average_fps
        shown: av.VideoFrame | None = None
        shown_at = zero = 0.0
        for frame, stamp in trusted_stamps(self._frames):
            if shown is None:
                zero = stamp * tick_seconds if stamp is not None else 0.0
                at = 0.0
            elif stamp is None:
                at = shown_at + frame_seconds
            else:
                at = max(stamp * tick_seconds - zero, shown_at)  # a stamp that runs backwards counts as the one before
            if shown is not None:
                yield shown, shown_at, at - rounding_seconds
            shown, shown_at = frame, at
        if shown is not None:
            last_seconds = shown.duration * tick_seconds if shown.duration else 0.0
            yield shown, shown_at, shown_at + (last_seconds or frame_seconds)

    def _decode(self) -> Iterator[av.VideoFrame]:
        """All frames in the order of display; damaged packets are passed over and counted. Gives one at least."""
        num_frames = 0
        for packet in iterate_packets(self._container, self._stream):
            try:
                frames = self._passed_over(packet) if isinstance(packet, av.error.FFmpegError) else packet.decode()
            except av.error.FFmpegError as error:
                frames = self._passed_over(error)
            for frame in frames:
                _check_size(frame.width, frame.height, self.path, self._limits)
                num_frames += 1
                yield frame
        if num_frames == 0:
            raise DecodeFailed(
                f"{self.path}: no frame of its {self._stream.codec_context.name} video could be decoded "
                f"({self._damage}); it is damaged, encrypted or cut short: get it again"
            )

    def _passed_over(self, error: av.error.FFmpegError) -> list[av.VideoFrame]:
        self._num_damaged += 1
        self._damage = one_line(error.strerror)
        return []

    def _describe(self, first: av.VideoFrame) -> VideoInfo:
        aspect = self._stream.sample_aspect_ratio
        width, height = _square_pixel_size(first.width, first.height, float(aspect) if aspect else 1.0)
        _check_size(width, height, self.path, self._limits)
        rotation_degrees = round(first.rotation / 90) * 90 % 360
        if rotation_degrees in {90, 270}:
            width, height = height, width
        return VideoInfo(
            path=self.path,
            codec=self._stream.codec_context.name,
            width=width,
            height=height,
            rotation_degrees=rotation_degrees,
            start_seconds=self._times.start_seconds,
            duration_seconds=self._times.duration_seconds,
            average_fps=self._times.average_fps,
            has_variable_fps=self._times.has_variable_fps,
        )

    def _to_rgb(self, frame: av.VideoFrame) -> UInt8Array:
        """``H×W×3`` as displayed, in the size that the first frame announced."""
        turned = self.info.rotation_degrees in {90, 270}
        width, height = (self.info.height, self.info.width) if turned else (self.info.width, self.info.height)
        # one thread: for frames of this size, starting swscale's own threads takes longer than the conversion
        rgb = frame.to_ndarray(format="rgb24", width=width, height=height, threads=1)
        return np.ascontiguousarray(np.rot90(rgb, k=self.info.rotation_degrees // 90), dtype=np.uint8)


def _square_pixel_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """The stored size widened or heightened until pixels are square; odd claims (over 4:1) are ignored."""
    if aspect > 1 and aspect <= 4:
        return round(width * aspect), height
    if aspect < 1 and aspect >= 0.25:
        return width, round(height / aspect)
    return width, height


def _check_size(width: int, height: int, path: Path, limits: Limits) -> None:
    if width * height > limits.max_pixels_per_frame:
        raise SourceRefused(
            f"{path}: its frames are {width}×{height}, more than the {limits.max_pixels_per_frame:,} pixels allowed; "
            "scale it down with: ffmpeg -i IN -vf scale=1280:-2 out.mp4"
        )


def read_video(path: str | Path, *, fps: float, max_frames: int | None = None) -> RgbFrames:
    """The frames of a video at a constant rate, all in memory.

    Args:
        path: a video file.
        fps: moments a second, from the first frame on; each gives the frame on display then.
        max_frames: stop after so many.

    Returns:
        ``T×H×W×3`` uint8 RGB with the time each frame appeared.

    Raises:
        MediaError: no frame can be had; the message says why.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    with Video(path) as video:
        frames = list(islice(video.frames(video.plan(fps)), max_frames))
        return RgbFrames.stack(frames, str(path), video.warnings)


def probe(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> VideoInfo:
    """What a video file is; decodes its first frame, because only that tells the rotation.

    Raises:
        MediaError: as `Video` does.
    """
    with Video(path, limits=limits) as video:
        return video.info
