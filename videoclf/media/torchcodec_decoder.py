"""Decodes with TorchCodec: an extra (``pip install 'videoclf[torchcodec]'``) that uses the FFmpeg of this machine.

It selects frames by their timestamps, so it is used only if those are reliable. Importing it imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from videoclf.errors import DecodeFailedError, DeviceUnavailableError, one_line
from videoclf.media.budget import Budget
from videoclf.media.frame_conversion import Display
from videoclf.media.frames import UInt8Array
from videoclf.media.gate import Admission, opened_by_number, refuse_what_could_be_taken_for_a_script
from videoclf.media.packets import ShownTimes
from videoclf.media.pyav_decoder import PyavDecoder
from videoclf.option_names import option

_SOUGHT_BY_BISECTION = frozenset({"mpeg", "mpegts"})
"""FFmpeg guesses where a moment lies in them, and TorchCodec takes the guess: H.265 came out grey."""


class TorchcodecDecoder:
    """Decodes the frames of an admitted file.

    Args:
        admission: the file that the gate admitted.
        known: PyAV's decoder for the same file.
        budget: counts the time.
        num_threads: threads of the codec.

    Raises:
        DeviceUnavailableError: TorchCodec is not installed, or does not find FFmpeg's libraries.
        SourceRefusedError: TorchCodec, which detects a file's format by itself, could take it for a script.
        DecodeFailedError: TorchCodec cannot open the file.
    """

    def __init__(self, admission: Admission, known: PyavDecoder, budget: Budget, num_threads: int) -> None:
        self._path = admission.path
        self._budget = budget
        if known.scan.table is None or not known.marks_keyframes:
            raise self._failure("relies on timestamps and keyframes, which are unreliable in this file")
        if admission.demuxer in _SOUGHT_BY_BISECTION:
            raise self._failure(
                f"may start decoding at a wrong packet of a {admission.demuxer} stream, and return grey frames"
            )
        refuse_what_could_be_taken_for_a_script(admission)
        open_decoder = video_decoder_class()
        try:
            with opened_by_number(admission) as name:
                self._decoder = budget.timed(
                    open_decoder,
                    name,
                    stream_index=known.stream_index,
                    dimension_order="NHWC",
                    num_ffmpeg_threads=num_threads,
                    seek_mode="exact",
                )
        except (RuntimeError, ValueError) as error:
            raise self._failure(f"cannot open it ({_first_line(error)})") from error

    def close(self) -> None:
        """Close the file and the codec."""
        del self._decoder

    def fetch(
        self, display_ordinals: Sequence[int], shown: ShownTimes, display: Display
    ) -> Iterator[tuple[int, UInt8Array]]:
        """Decode only these frames (strictly ascending), and yield each with its position in the order of display.

        Raises:
            DecodeFailedError: a frame cannot be decoded, or is not the one expected at its position.
        """
        if display.is_mirrored:
            raise self._failure("does not mirror frames, as this file requires")
        turned_degrees = round(getattr(self._decoder.metadata, "rotation", None) or 0) % 360
        if turned_degrees != display.rotation_degrees:
            raise self._failure(
                f"rotates frames by {turned_degrees} degrees, but the file requires {display.rotation_degrees}"
            )
        for ordinal in display_ordinals:
            pts_seconds = shown.start_seconds + float(shown.seconds[ordinal])
            frame = self._frame(ordinal + shown.num_before, pts_seconds, shown.tick_seconds)
            self._budget.check_size(frame.data.shape[1], frame.data.shape[0])
            yield ordinal, display.rgb_of_displayed(np.asarray(frame.data.numpy(), dtype=np.uint8))

    def _frame(self, index: int, pts_seconds: float, tick_seconds: float) -> Any:
        """By its place, or else by its time: TorchCodec's own account of a file is off by a frame now and then, but
        what it gives tells when it is shown."""
        fault = ""
        for get, key in (
            (self._decoder.get_frame_at, index),
            (self._decoder.get_frame_played_at, pts_seconds + tick_seconds / 4),
        ):
            try:
                frame = self._budget.timed(get, key)
            except (RuntimeError, IndexError) as error:
                fault = f"cannot decode the frame at {pts_seconds:.3f} s ({_first_line(error)})"
                continue
            if abs(float(frame.pts_seconds) - pts_seconds) <= tick_seconds / 2:
                return frame
            fault = f"returned the frame at {frame.pts_seconds:.3f} s instead of the one at {pts_seconds:.3f} s"
        raise self._failure(fault)

    def _failure(self, fault: str) -> DecodeFailedError:
        return DecodeFailedError(
            f"TorchCodec {fault}",
            source=self._path,
            hint=f"read it with the default decoder: {option('decoder', 'pyav')}",
        )


def video_decoder_class() -> Any:
    """TorchCodec's ``VideoDecoder`` class.

    Raises:
        DeviceUnavailableError: TorchCodec is not installed, or does not find FFmpeg's libraries.
    """
    no_ffmpeg = DeviceUnavailableError(
        "does not find FFmpeg's libraries (versions 4 to 8)",
        source=option("decoder", "torchcodec"),
        hint="install them (Debian: apt-get install ffmpeg), or omit the option",
    )
    try:
        import torchcodec
        from torchcodec.decoders import VideoDecoder
    except ImportError as error:
        raise DeviceUnavailableError(
            "is not installed", source=option("decoder", "torchcodec"), hint="pip install 'videoclf[torchcodec]'"
        ) from error
    except (RuntimeError, OSError) as error:  # older than 0.17: it cannot even be imported without FFmpeg
        raise no_ffmpeg from error
    if getattr(torchcodec, "ffmpeg_major_version", 0) is None:
        raise no_ffmpeg
    return VideoDecoder


def _first_line(error: BaseException) -> str:
    return one_line(str(error).split("\n", 1)[0])[:200]
