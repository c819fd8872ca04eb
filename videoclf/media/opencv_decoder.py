"""Decodes with OpenCV: reads a file from the start and keeps the wanted frames. (OpenCV's seeking is not exact.)"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np

from videoclf.errors import DecodeFailedError
from videoclf.media.budget import Budget
from videoclf.media.frame_conversion import Display
from videoclf.media.frames import UInt8Array
from videoclf.media.gate import Admission, opened_by_number
from videoclf.media.packets import ShownTimes
from videoclf.media.pyav_decoder import PyavDecoder
from videoclf.option_names import option

_OPTIONS_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOG_LEVEL_VARIABLE = "OPENCV_FFMPEG_LOGLEVEL"
_QUIET = "-8"

_environment_lock = threading.Lock()
"""OpenCV takes FFmpeg's options from the process's environment only."""

_MAX_CLOCK_ERROR_SECONDS = 1e-3
"""OpenCV tells a frame's time in milliseconds, rounded to the container's ticks."""


_CANNOT_CONVERT = "cannot convert interlaced frames: it returns a black one, or repeats the last one"


class OpencvDecoder:
    """Decodes the frames of an admitted file.

    Args:
        admission: the file that the gate admitted; its demuxer is the only one that OpenCV may use.
        known: PyAV's decoder for the same file.
        budget: counts the time.
        num_threads: threads of the codec.

    Raises:
        DecodeFailedError: OpenCV cannot open the file.
    """

    def __init__(self, admission: Admission, known: PyavDecoder, budget: Budget, num_threads: int) -> None:
        self._path = admission.path
        self._known = known
        self._last_bgr: UInt8Array | None = None
        self._stale_is_interlaced: bool | None = None
        """Of a row of equal pictures; None where the last one differed from the one before."""
        self._budget = budget
        if known.has_marks:
            raise self._failure(
                "does not report which frames of this file are incomplete, although packets are missing"
            )
        parameters = [cv2.CAP_PROP_N_THREADS, num_threads]
        if known.has_several_video_streams:  # OpenCV cannot open all files when told which stream to take
            parameters += [cv2.CAP_PROP_VIDEO_STREAM, known.video_stream]
        with opened_by_number(admission) as name, _quiet_and_confined_to(admission.demuxer):
            self._capture = cv2.VideoCapture(f"file:{name}", cv2.CAP_FFMPEG, parameters)
        if not self._capture.isOpened():
            raise self._failure("cannot open it")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)

    def close(self) -> None:
        """Close the file and the codec."""
        self._capture.release()

    def fetch(
        self, display_ordinals: Sequence[int], shown: ShownTimes, display: Display
    ) -> Iterator[tuple[int, UInt8Array]]:
        """Decode only these frames (strictly ascending), and yield each with its position in the order of display.

        Raises:
            DecodeFailedError: a frame is missing, or is not the one expected at its position.
        """
        if display.is_interlaced:
            raise self._failure(_CANNOT_CONVERT)
        wanted = set(display_ordinals)
        last_wanted = max(wanted)
        first_clock_seconds = clock_seconds = 0.0
        clocks_tell = shown.are_certain
        for ordinal in range(last_wanted + 1):
            if not self._budget.timed(self._capture.grab):
                raise self._failure(f"returned {ordinal} frames, but number {last_wanted + 1} is needed")
            last_clock_seconds, clock_seconds = clock_seconds, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if ordinal == 0:
                first_clock_seconds = clock_seconds
            elif clock_seconds <= last_clock_seconds:  # it has none for frames that come after the last packet
                clocks_tell = False
            if ordinal in wanted:
                if clocks_tell:
                    self._check_clock(clock_seconds - first_clock_seconds, float(shown.seconds[ordinal]))
                yield (
                    ordinal,
                    display.rgb_of_stored(self._retrieve(shown.start_seconds + float(shown.seconds[ordinal]))),
                )
        if not clocks_tell:
            self._check_count(last_wanted + 1, len(shown.seconds))

    def _retrieve(self, pts_seconds: float) -> UInt8Array:
        is_there, image = self._budget.timed(self._capture.retrieve)
        if not is_there:
            raise self._failure("could not convert a frame")
        bgr = np.asarray(image, dtype=np.uint8)
        is_stale = not bgr.any() or (self._last_bgr is not None and np.array_equal(bgr, self._last_bgr))
        if not is_stale:
            self._stale_is_interlaced = None
        elif self._stale_is_interlaced is None:
            self._stale_is_interlaced = self._known.is_interlaced(pts_seconds)
        if self._stale_is_interlaced:
            raise self._failure(_CANNOT_CONVERT)
        self._last_bgr = bgr
        self._budget.check_size(bgr.shape[1], bgr.shape[0])
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)

    def _check_clock(self, clock_seconds: float, expected_seconds: float) -> None:
        if abs(clock_seconds - expected_seconds) > _MAX_CLOCK_ERROR_SECONDS:
            raise self._failure(
                f"returned the frame at {clock_seconds:.3f} s instead of the one at {expected_seconds:.3f} s"
            )

    def _check_count(self, num_read: int, num_expected: int) -> None:
        """Where timestamps cannot tell, a frame left out or given twice shows in the number of all."""
        while num_read <= num_expected and self._capture.grab():
            num_read += 1
        if num_read != num_expected:
            raise self._failure(f"returned {num_read} frames instead of {num_expected}")

    def _failure(self, fault: str) -> DecodeFailedError:
        return DecodeFailedError(
            f"OpenCV {fault}", source=self._path, hint=f"read it with the default decoder: {option('decoder', 'pyav')}"
        )


@contextmanager
def _quiet_and_confined_to(demuxer: str) -> Iterator[None]:
    with _environment_lock:
        saved = os.environ.get(_OPTIONS_VARIABLE)
        os.environ.setdefault(_LOG_LEVEL_VARIABLE, _QUIET)
        os.environ[_OPTIONS_VARIABLE] = f"protocol_whitelist;file|input_format;{demuxer}"
        log_level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            cv2.utils.logging.setLogLevel(log_level)
            if saved is None:
                del os.environ[_OPTIONS_VARIABLE]
            else:
                os.environ[_OPTIONS_VARIABLE] = saved
