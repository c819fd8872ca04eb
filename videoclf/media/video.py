"""Opens a video: its description, and its frames at the sample times of a plan."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice, repeat
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import av
import av.error
import numpy as np

from videoclf.errors import DecodeFailedError, UsageInvalidError, one_line
from videoclf.media.budget import Budget
from videoclf.media.frame_conversion import Display
from videoclf.media.frame_selection import cheap_frames_nearby, frames_on_display, max_fast_shift_seconds, shift_seconds
from videoclf.media.frames import RgbFrame, RgbFrames, UInt8Array, VideoInfo, YuvFrame
from videoclf.media.gate import admit
from videoclf.media.limits import DEFAULT_LIMITS, Limits
from videoclf.media.options import DEFAULT_READ_OPTIONS, DecoderName, Picking, ReadOptions, num_cores
from videoclf.media.packets import PacketTable, ShownTimes, stamp_rounding_seconds
from videoclf.media.pyav_decoder import PyavDecoder
from videoclf.media.pyav_stream import PacketsMisleadError
from videoclf.media.sampling import SamplingPlan, plan_constant_rate
from videoclf.media.timestamp_choice import trusted_stamps
from videoclf.option_names import option

if TYPE_CHECKING:
    from videoclf.media.opencv_decoder import OpencvDecoder
    from videoclf.media.torchcodec_decoder import TorchcodecDecoder

T = TypeVar("T")

_DURATION_ROUNDING_SECONDS = 1e-3
"""Durations are rounded by containers, as timestamps are."""


class Video:
    """An open video file. Use it as a context manager; it is not shared between threads.

    Args:
        path: a file. The gate decides whether a decoder may open it.
        options: decoder, frame selection, isolation and limits.
        num_threads: threads of the decoder: 1 if several videos are read at the same time, 0 for the number of cores.

    Raises:
        SourceMissingError, SourceRefusedError: the gate refused the file, or it is over a limit.
        NoVideoStreamError: the file contains audio or subtitles only.
        DecodeFailedError: the container cannot be opened, its codec is not supported, or no frame could be decoded.
    """

    def __init__(self, path: str | Path, options: ReadOptions = DEFAULT_READ_OPTIONS, *, num_threads: int = 0) -> None:
        self._admission = admission = admit(Path(path))
        self.path = admission.path
        self._num_threads = num_threads or num_cores()
        self._options = options
        self._budget = Budget(self.path, options.limits)
        self._notes: list[str] = []
        self._num_lost = 0
        self._served: list[Generator[Any]] = []
        self._decoder = PyavDecoder(admission, options, self._budget, self._num_threads)
        try:
            frames = self._decoder.all_frames(only_first=self._decoder.scan.table is not None)
            first = next(frames)
            # a damaged picture is left out, but the video begins with it all the same
            damaged_pts = self._decoder.first_damaged_pts
            self._begins_damaged = damaged_pts is not None and first.pts is not None and damaged_pts < first.pts
            self._begin_ticks = damaged_pts if self._begins_damaged else first.pts
            self._scan = self._decoder.scan.from_frame(self._begin_ticks)
            self._frames_in_order = chain([first], frames) if self._scan.table is None else None
            self._display = Display.of(first, self._decoder.pixel_aspect)
            self._budget.check_size(self._display.width, self._display.height)
            if self._display.ignored:
                self._notes.append(f"{self._display.ignored} is ignored")
            self.info = self._describe()
        except BaseException:
            self._decoder.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for served in self._served:
            served.close()  # so that its threads end, though the caller may still hold what `frames` gave
        self._decoder.close()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The problems found so far; complete once `frames` is exhausted."""
        num_damaged = self._budget.num_damaged
        damage = f"{num_damaged} damaged packets were skipped ({self._budget.damage})" if num_damaged else ""
        return tuple(filter(None, (self._scan.times.shortfall, damage, *self._notes)))

    def plan(self, fps: float) -> SamplingPlan:
        """The sample times of this video at a constant rate (``fps`` a second)."""
        return plan_constant_rate(self.info.duration_seconds, fps=fps)

    def frames(self, plan: SamplingPlan) -> Iterator[RgbFrame]:
        """Yield the frame on display at each sample time of the plan, in order. Call it once for an open video.

        There are fewer frames if some are damaged, or if the video ends before the plan does; `warnings` then says so.

        Raises:
            DecodeFailedError: after the intact frames, if more than half of the frames are damaged.
            SourceRefusedError: a frame, or the time spent, is over the limits.
        """
        served = self._good(self._rgb_moments(plan), plan)
        self._served.append(served)
        for rgb, pts_seconds in served:
            yield RgbFrame(rgb, pts_seconds)

    def yuv_frames(self, plan: SamplingPlan) -> Iterator[YuvFrame]:
        """As `frames`, but yields the planes as they were decoded, so that a GPU can convert them.

        Raises:
            UsageInvalidError: the decoder returns RGB only.
        """
        if self._options.decoder is not DecoderName.PYAV:
            raise UsageInvalidError(
                "returns RGB only", source=option("decoder", self._options.decoder), hint="use pyav for planes"
            )
        served = self._good(self._moments(plan, self._display.yuv), plan)
        self._served.append(served)
        for planes, pts_seconds in served:
            yield YuvFrame(planes, pts_seconds)

    def _rgb_moments(self, plan: SamplingPlan) -> Iterator[tuple[UInt8Array, float] | None]:
        if self._options.decoder is DecoderName.PYAV:
            return self._moments(plan, self._display.rgb)
        return self._moments_of_other_decoder(plan)

    def _good(self, pictures: Iterable[tuple[T, float] | None], plan: SamplingPlan) -> Generator[tuple[T, float]]:
        """Each moment's picture and when it appeared; keeps account of those that damage took."""
        num_served = 0
        for item in pictures:
            if item is None:
                self._num_lost += 1
            else:
                num_served += 1
                yield item
        num_moments = num_served + self._num_lost
        if self._num_lost:
            self._notes.append(f"{self._num_lost} of {num_moments} frames were left out because of damage")
        if self._num_lost > num_served:
            raise DecodeFailedError(
                f"{self._num_lost} of {num_moments} frames are damaged ({self._budget.damage}), too few are left",
                source=self.path,
                hint="download or copy the file again",
            )
        if num_moments < len(plan) - 1:  # one moment may fall to rounding at the very end
            self._notes.append(f"ended early: {num_moments} of {len(plan)} frames could be read")

    def _moments(
        self, plan: SamplingPlan, to_picture: Callable[[av.VideoFrame], T]
    ) -> Iterator[tuple[T, float] | None]:
        def convert(frame: av.VideoFrame) -> T:
            try:
                return self._budget.timed(to_picture, frame)
            except (av.error.MemoryError, MemoryError):
                raise self._budget.out_of_memory() from None
            except (av.error.FFmpegError, ValueError) as error:
                raise DecodeFailedError(
                    f"its {frame.format.name} frames cannot be converted ({one_line(error)})",
                    source=self.path,
                    hint="convert the file with: ffmpeg -i IN -pix_fmt yuv420p out.mp4",
                ) from error

        num_done = 0
        if self._scan.table is not None:
            try:
                for item in self._fetched(plan, self._scan.table, convert):
                    num_done += 1
                    yield item
                return
            except PacketsMisleadError:  # decode all from the start, and go on at the moment reached
                self._budget.forget_damage()
                self._decoder.start_anew()
        yield from islice(self._decoded_in_order(plan, convert), num_done, None)

    def _fetched(
        self, plan: SamplingPlan, table: PacketTable, convert: Callable[[av.VideoFrame], T]
    ) -> Iterator[tuple[T, float]]:
        """Decodes only what the plan needs."""
        ordinals, num_moments = self._pick(plan, table)
        fetched = self._decoder.fetch(table, ordinals, convert)
        for (ordinal, value), repeats in zip(fetched, num_moments, strict=True):
            yield from repeat((value, float(table.shown_seconds[ordinal])), repeats)

    def _pick(self, plan: SamplingPlan, table: PacketTable) -> tuple[list[int], list[int]]:
        """The wanted frames in the order of display, and how many moments each serves."""
        moments = plan.timestamps_seconds[plan.timestamps_seconds < self._scan.times.duration_seconds]
        ordinals = frames_on_display(table.shown_seconds, moments, table.tick_seconds)
        if self._options.picking is Picking.FAST:
            ordinals = cheap_frames_nearby(table, ordinals, moments, max_fast_shift_seconds(plan))
            self._note_shift(float(shift_seconds(table, ordinals, moments).max(initial=0.0)))
        wanted, num_moments = np.unique(ordinals, return_counts=True)
        return wanted.tolist(), num_moments.tolist()

    def _moments_of_other_decoder(self, plan: SamplingPlan) -> Iterator[tuple[UInt8Array, float]]:
        """By OpenCV or TorchCodec: the same frames, or a failure; neither is taken at its word for which they are."""
        if self._scan.table is not None:
            ordinals, num_moments = self._pick(plan, self._scan.table)
            table = self._scan.table
            shown = ShownTimes(
                table.shown_seconds, self._scan.times.start_seconds, table.tick_seconds, table.num_never_shown, True
            )
        else:
            intervals = [(at, until) for _, at, until, _ in self._shown_intervals()]
            shown_seconds, until_seconds = np.array(intervals).T
            shown = ShownTimes(shown_seconds, 0.0, self._decoder.tick_seconds, num_before=0, are_certain=False)
            moments = plan.timestamps_seconds[plan.timestamps_seconds < until_seconds[-1]]
            on_display = np.searchsorted(until_seconds, moments, side="right")
            on_display = on_display[moments >= shown_seconds[on_display] - stamp_rounding_seconds(shown.tick_seconds)]
            wanted, counts = np.unique(on_display, return_counts=True)
            ordinals, num_moments = wanted.tolist(), counts.tolist()
        if not ordinals:  # the plan lies beyond the video's end
            return
        with closing(self._open_other_decoder()) as decoder:
            fetched = decoder.fetch(ordinals, shown, self._display)
            for (ordinal, rgb), repeats in zip(fetched, num_moments, strict=True):
                yield from repeat((rgb, float(shown.seconds[ordinal])), repeats)

    def _open_other_decoder(self) -> OpencvDecoder | TorchcodecDecoder:
        from videoclf.media.opencv_decoder import OpencvDecoder  # a tenth of a second, for those who ask for it
        from videoclf.media.torchcodec_decoder import TorchcodecDecoder

        open_decoder = OpencvDecoder if self._options.decoder is DecoderName.OPENCV else TorchcodecDecoder
        return open_decoder(self._admission, self._decoder, self._budget, self._num_threads)

    def _note_shift(self, seconds: float) -> None:
        if seconds:
            self._notes.append(f"fast: frames up to {seconds:.3f} s from the sample times were used")

    def _decoded_in_order(
        self, plan: SamplingPlan, convert: Callable[[av.VideoFrame], T]
    ) -> Iterator[tuple[T, float] | None]:
        """Decodes all, and believes the frames rather than the packets. None: damage took the moment's frame."""
        moments = plan.timestamps_seconds
        rounding_seconds = stamp_rounding_seconds(self._decoder.tick_seconds)
        num_done = 0
        for shown, from_seconds, until_seconds, next_seconds in self._shown_intervals():
            converted: list[T] = []
            while num_done < len(moments) and moments[num_done] < next_seconds:
                if from_seconds - rounding_seconds <= moments[num_done] < until_seconds:
                    converted = converted or [convert(shown)]
                    yield converted[0], from_seconds
                else:
                    yield None
                num_done += 1
            if num_done == len(moments):
                return
        if self._budget.num_damaged:
            yield from [None] * int(np.count_nonzero(moments[num_done:] < self._scan.times.duration_seconds))

    def _shown_intervals(self) -> Iterator[tuple[av.VideoFrame, float, float, float]]:
        """Each decoded frame with the seconds, from the first frame, between which it is on display, and when the next
        good one appears: later where damage lies between them."""
        tick_seconds = self._decoder.tick_seconds
        rounding_seconds = stamp_rounding_seconds(tick_seconds)
        frame_seconds = 1 / self.info.average_fps
        shown: av.VideoFrame | None = None
        shown_at = zero = 0.0
        frames = self._frames_in_order or self._decoder.all_frames()
        is_guessed = self._scan.presentation_is_guessed
        for frame, stamp in trusted_stamps(frames, presentation_is_guessed=is_guessed):
            if shown is None:
                is_later = self._begins_damaged and stamp is not None and not is_guessed
                begin = self._begin_ticks if is_later else stamp
                zero = begin * tick_seconds if begin is not None else 0.0
                at = stamp * tick_seconds - zero if stamp is not None else 0.0
            elif stamp is None:
                at = shown_at + (shown.duration * tick_seconds or frame_seconds)
            else:
                at = max(stamp * tick_seconds - zero, shown_at)  # a stamp that runs backwards counts as the one before
            if shown is not None:
                next_at = at - rounding_seconds
                own_seconds = shown.duration * tick_seconds or frame_seconds
                # where damage lies between, a frame is on display as long as it says: the rest would be invented
                has_gap = at - shown_at > own_seconds + _DURATION_ROUNDING_SECONDS
                own_end = shown_at + own_seconds - rounding_seconds
                good_until = own_end if has_gap and self._budget.num_damaged else next_at
                yield shown, shown_at, min(good_until, next_at), next_at
            shown, shown_at = frame, at
        if shown is not None:
            until = shown_at + (shown.duration * tick_seconds or frame_seconds)
            # what damage took may have begun then
            yield shown, shown_at, until - rounding_seconds if self._budget.num_damaged else until, until

    def _describe(self) -> VideoInfo:
        return VideoInfo(
            path=self.path,
            codec=self._decoder.codec_name,
            width=self._display.width,
            height=self._display.height,
            rotation_degrees=self._display.rotation_degrees,
            start_seconds=self._scan.times.start_seconds,
            duration_seconds=self._scan.times.duration_seconds,
            average_fps=self._scan.times.average_fps,
            has_variable_fps=self._scan.times.has_variable_fps,
        )


def read_video(
    path: str | Path, *, fps: float, max_frames: int | None = None, options: ReadOptions = DEFAULT_READ_OPTIONS
) -> RgbFrames:
    """Read the frames of a video at a constant rate, all into memory.

    Args:
        path: a video file.
        fps: sample times per second, from the first frame on. Each gives the frame on display at that time.
        max_frames: stop after this many frames.
        options: decoder, frame selection, isolation and limits.

    Returns:
        ``T×H×W×3`` uint8 RGB with the time at which each frame is first shown.

    Raises:
        MediaError: no frame could be read; the message says why.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    with Video(path, options) as video:
        plan = video.plan(fps)
        frames = list(video.frames(SamplingPlan(plan.timestamps_seconds[:max_frames], fps)))
        if not frames:
            raise DecodeFailedError(
                "ends before the first requested time", source=path, hint="download or copy the file again"
            )
        return RgbFrames.stack(frames, str(path), video.warnings)


def probe(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> VideoInfo:
    """Describe a video file. Its first frame is decoded, because only that shows the rotation.

    Raises:
        MediaError: as `Video` does.
    """
    with Video(path, ReadOptions(limits=limits)) as video:
        return video.info
