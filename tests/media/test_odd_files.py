"""Real files that decoders stumble over: each gives frames, the right ones, or one typed error that helps."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest

from tests.conftest import SHARED
from tests.media.decoders import DECODERS
from videoclf.errors import MediaError, SourceRefusedError
from videoclf.media.frames import RgbFrame, UInt8Array, VideoInfo
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

ODD = SHARED / "data" / "odd"
SMALL_BYTES = 17_000
"""In the normal run, what is slow is done with files up to this size."""


def _names(max_bytes: int | None = None) -> list[Any]:
    paths = sorted(path for path in ODD.rglob("*") if path.is_file() and path.name != "inventory.json")
    if not paths:
        return [pytest.param("", marks=pytest.mark.skip(reason=f"needs the odd files in {ODD}"))]
    return [str(path.relative_to(ODD)) for path in paths if max_bytes is None or path.stat().st_size <= max_bytes]


@dataclass(frozen=True)
class Reading:
    """What one file gave."""

    info: VideoInfo | None
    sample_seconds: list[float]
    frames: list[RgbFrame]
    error: MediaError | None


def read_file(path: Path, decoder: DecoderName, num_moments: int | None) -> Reading:
    """So many moments spread over the file; None: as many as it has frames."""
    info, plan = None, None
    frames: list[RgbFrame] = []
    try:
        with Video(path, ReadOptions(decoder=decoder), num_threads=1) as video:
            info = video.info
            spread = np.linspace(0, 0.97 * info.duration_seconds, num_moments or 1)
            plan = SamplingPlan(spread, 1) if num_moments else video.plan(min(info.average_fps, 60))
            frames.extend(video.frames(plan))
    except MediaError as error:
        return Reading(info, [], frames, error)
    return Reading(info, plan.timestamps_seconds.tolist(), frames, None)


def assert_frames_or_a_helpful_error(path: Path, reading: Reading) -> None:
    if reading.error is not None:
        message = str(reading.error)
        assert message.startswith(f"{path}: "), "the file comes first"
        assert "\n" not in message
        assert ";" in message, "a remedy follows the cause"
        return
    assert reading.info is not None
    assert reading.frames, "no error, but no frames"
    times = [frame.pts_seconds for frame in reading.frames]
    assert times == sorted(times)
    assert times[0] >= 0
    assert {frame.rgb.shape for frame in reading.frames} == {(reading.info.height, reading.info.width, 3)}
    if len(times) == len(reading.sample_seconds):  # none was left out for damage
        assert all(at <= moment + 1e-3 for at, moment in zip(times, reading.sample_seconds, strict=True))


@pytest.mark.parametrize("name", _names())
def test_a_file_gives_frames_or_a_helpful_error(name: str) -> None:
    reading = read_file(ODD / name, DecoderName.PYAV, num_moments=2)
    assert_frames_or_a_helpful_error(ODD / name, reading)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", _names(SMALL_BYTES))
def test_a_small_file_gives_frames_or_a_helpful_error_by_every_decoder(name: str, decoder: DecoderName) -> None:
    assert_frames_or_a_helpful_error(ODD / name, read_file(ODD / name, decoder, num_moments=4))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("num_moments", [4, None], ids=["sparse", "full"])
@pytest.mark.parametrize("name", _names())
def test_every_file_gives_frames_or_a_helpful_error_by_every_decoder(
    name: str, num_moments: int | None, decoder: DecoderName
) -> None:
    assert_frames_or_a_helpful_error(ODD / name, read_file(ODD / name, decoder, num_moments))


def test_files_that_ffmpeg_decodes_are_read() -> None:
    if not ODD.is_dir():
        pytest.skip(f"needs the odd files in {ODD}")
    inventory = json.loads((ODD / "inventory.json").read_text())
    failed = {}
    for name, known in inventory.items():
        if known.get("pyav_status") == "OK" and known["pyav_frames"] and (ODD / name).stat().st_size <= SMALL_BYTES:
            reading = read_file(ODD / name, DecoderName.PYAV, num_moments=1)
            if reading.error is not None and not isinstance(reading.error, SourceRefusedError):
                failed[name] = str(reading.error)
    assert failed == {}


@dataclass(frozen=True)
class FullDecode:
    """All frames of a file, decoded from the start to the end with nothing skipped: the slow truth."""

    num_pixels: int
    """Of the first, as stored."""
    appear_seconds: list[float]
    digests: list[str | None]
    """Of the pictures; None for those of another size than the first."""


def decode_all(path: Path) -> FullDecode | None:
    """None where a file is damaged, or its own stamps do not tell when frames are shown."""
    stamps: list[float] = []
    digests: list[str | None] = []
    first: Any = None
    container: Any
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            return None
        try:
            for frame in container.decode(stream):
                if frame.pts is None or frame.is_corrupt:
                    return None
                first = first or frame
                is_alike = (frame.width, frame.height) == (first.width, first.height)
                stamps.append(float(frame.pts * stream.time_base))
                digests.append(digest(frame.to_ndarray(format="rgb24", threads=1)) if is_alike else None)
        except av.error.FFmpegError:
            return None
    if len(stamps) < 2 or min(np.diff(stamps)) <= 2e-3:
        return None
    return FullDecode(first.width * first.height, [stamp - stamps[0] for stamp in stamps], digests)


def digest(rgb: UInt8Array) -> str:
    return hashlib.md5(np.ascontiguousarray(rgb).tobytes(), usedforsecurity=False).hexdigest()


def assert_frames_of_a_full_decode(path: Path) -> None:
    """The very pixels, not only the very times: what is skipped on the way to a frame leaves no trace in it."""
    truth = decode_all(path)
    if truth is None:
        pytest.skip("its stamps do not tell when frames are shown, or it is damaged")
    appear = truth.appear_seconds
    middles = (np.array(appear[:-1]) + appear[1:]) / 2
    moments = middles[np.unique(np.linspace(0, len(middles) - 1, 7).astype(int))]
    with Video(path, num_threads=2) as video:
        frames = list(video.frames(SamplingPlan(moments, 1)))
        as_stored = video.info.rotation_degrees == 0 and video.info.width * video.info.height == truth.num_pixels
    places = [bisect_right(appear, moment) - 1 for moment in moments.tolist()]
    assert [frame.pts_seconds for frame in frames] == pytest.approx([appear[place] for place in places], abs=1.1e-3)
    for frame, place in zip(frames, places, strict=True):
        if as_stored and truth.digests[place] is not None:
            assert digest(frame.rgb) == truth.digests[place]


@pytest.mark.parametrize("name", _names(SMALL_BYTES))
def test_a_small_files_frames_are_those_of_a_full_decode(name: str) -> None:
    _skip_if_refused(ODD / name)
    assert_frames_of_a_full_decode(ODD / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", _names())
def test_every_files_frames_are_those_of_a_full_decode(name: str) -> None:
    _skip_if_refused(ODD / name)
    assert_frames_of_a_full_decode(ODD / name)


def _skip_if_refused(path: Path) -> None:
    try:
        with Video(path, num_threads=1):
            pass
    except MediaError as error:
        pytest.skip(str(error))
