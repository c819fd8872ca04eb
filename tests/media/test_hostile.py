"""Files and names that would have a decoder do something else than decode them."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.media.decoders import DECODERS
from videoclf.errors import DecodeFailedError, SourceRefusedError
from videoclf.media.limits import Limits
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video, read_video


def write_clip(
    path: Path, *, encoder: str = "mpeg4", muxer: str | None = None, num_frames: int = 8, **options: Any
) -> Path:
    """A grey clip that gets lighter by 10 a frame."""
    size = options.pop("size", (64, 48))
    with av.open(str(path), "w", format=muxer) as container:
        stream: Any = container.add_stream(encoder, rate=25, options=options.pop("codec", {}))
        stream.width, stream.height = size
        stream.pix_fmt = options.pop("pix_fmt", "yuv420p")
        for number in range(num_frames):
            grey = np.full((size[1], size[0], 3), 20 + 10 * (number % 20), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    "name", ["x%d.png", "a*b.png", "what?.jpg", "{a,b}.bmp", "pipe:0", "\udcff\udcfe.mp4", "x|y.mp4"]
)
def test_a_name_is_only_a_name(tmp_path: Path, name: str, decoder: DecoderName) -> None:
    write_clip(tmp_path / "clip.mp4").rename(tmp_path / name)
    for number in range(3):  # what a decoder would find who took the name for that of an image sequence
        with av.open(str(tmp_path / f"x{number}.png"), "w", format="image2") as container:
            stream: Any = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255, np.uint8), format="rgb24")
            container.mux([*stream.encode(picture), *stream.encode(None)])
    frames = read_video(tmp_path / name, fps=25, options=ReadOptions(decoder=decoder))
    assert np.allclose(frames.rgb.mean(axis=(1, 2, 3)), np.arange(20, 100, 10), atol=4)


@pytest.mark.parametrize(
    "script", [b"<MPD profiles='urn:mpeg:dash:profile:isoff-live:2011'>", b"\nc=IN IP4 127.0.0.1\n"]
)
def test_torchcodec_is_not_shown_a_file_that_it_could_take_for_a_script(tmp_path: Path, script: bytes) -> None:
    pytest.importorskip("torchcodec.decoders", exc_type=(ImportError, RuntimeError, OSError))  # type: ignore[arg-type]
    path = write_clip(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes() + script)
    with pytest.raises(SourceRefusedError, match=r"clip\.mp4: contains a script .* inside a mov file"):
        read_video(path, fps=8, options=ReadOptions(decoder=DecoderName.TORCHCODEC))


def test_pictures_that_cannot_be_converted_are_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.nut"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr4"
        for number in range(3):
            packet = av.Packet(bytes(64 * 48 // 2))
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 25)
            packet.is_keyframe = True
            container.mux(packet)
    with pytest.raises(DecodeFailedError, match=r"clip\.nut: its \w+ frames cannot be converted .*ffmpeg"):
        read_video(path, fps=8)


def test_more_packets_than_allowed_are_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(SourceRefusedError, match=r"clip\.mp4: has more than the 7 frames allowed"):
        Video(path, ReadOptions(limits=Limits(max_packets=7)))


def test_more_streams_than_allowed_are_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        streams: list[Any] = [container.add_stream("mpeg4", rate=25) for _ in range(3)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for stream in streams:
            container.mux([*stream.encode(av.VideoFrame(64, 48, "yuv420p")), *stream.encode(None)])
    with pytest.raises(SourceRefusedError, match=r"clip\.mkv: contains 3 streams, more than the 2 allowed"):
        Video(tmp_path / "clip.mkv", ReadOptions(limits=Limits(max_streams=2)))


def test_a_video_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(SourceRefusedError, match=r"clip\.mp4: decoding took more than the 0 s allowed"):
        read_video(path, fps=25, options=ReadOptions(limits=Limits(max_decode_seconds=1e-9)))


def num_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_leaving_a_video_ends_its_threads_and_files_though_frames_are_still_held(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", encoder="libx264", num_frames=200, size=(640, 480), codec={"g": "10"})
    num_files = num_open_files()
    num_threads = threading.active_count()
    with Video(path, num_threads=2) as video:
        frames = video.frames(video.plan(3))
        assert len(list(islice(frames, 3))) == 3
        assert threading.active_count() > num_threads
    assert threading.active_count() == num_threads
    assert num_open_files() == num_files
    assert list(frames) == []


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_av1_that_is_begun_in_the_middle_is_exact(tmp_path: Path, num_threads: int) -> None:
    """dav1d looks at what to skip when it is opened, and never again."""
    path = write_clip(
        tmp_path / "clip.mp4", encoder="libsvtav1", num_frames=60, size=(640, 480), codec={"g": "30", "preset": "10"}
    )
    moments = np.arange(1.3, 2.4, 0.16)
    with Video(path, num_threads=num_threads) as video:
        frames = list(video.frames(SamplingPlan(moments, 6.25)))
    numbers = np.floor(moments * 25 + 1e-6).astype(int)
    assert [round(frame.pts_seconds * 25) for frame in frames] == numbers.tolist()
    assert np.allclose([frame.rgb.mean() for frame in frames], 20 + 10 * (numbers % 20), atol=4)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_plan_beyond_the_end_gives_nothing(tmp_path: Path, decoder: DecoderName) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    with Video(path, ReadOptions(decoder=decoder)) as video:
        assert list(video.frames(SamplingPlan(np.array([9.0, 9.5]), 2))) == []
        assert video.warnings == ("ended early: 0 of 2 frames could be read",)
