"""One open file: its codec gets the threads asked for, and with several of them nothing is concealed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.media.coded_clips import encode
from tests.media.test_damage import PLAIN, noise, with_packet_changed
from videoclf.media.budget import Budget
from videoclf.media.gate import admit
from videoclf.media.limits import DEFAULT_LIMITS
from videoclf.media.options import ReadOptions
from videoclf.media.ordered_workers import Stopped
from videoclf.media.pyav_stream import OpenStream, PacketsMisleadError

ROOT = Path(__file__).parents[2]


def open_stream(path: Path) -> OpenStream:
    return OpenStream(admit(path), ReadOptions(), Budget(path, DEFAULT_LIMITS))


def test_a_codec_that_runs_already_gets_the_threads_asked_for(tmp_path: Path) -> None:
    encode(tmp_path / "clip.mp4", PLAIN)
    stream = open_stream(tmp_path / "clip.mp4")
    for num_threads in (1, 3, 1):
        stream.set_threads(num_threads)
        assert stream.codec.is_open
        assert stream.codec.thread_count == num_threads
    assert [is_sound for _, is_sound in stream.frames()] == [True] * 24
    stream.close()


def test_with_one_thread_damage_is_told_and_with_several_it_is_refused(tmp_path: Path) -> None:
    with_packet_changed(tmp_path / "clip.mkv", PLAIN, 20, noise)
    stream = open_stream(tmp_path / "clip.mkv")
    stream.set_threads(1)
    sound = [is_sound for _, is_sound in stream.frames()]
    assert sound == [True] * 20 + [False] * 12 + [True] * 16
    stream.go_to(0, None)
    stream.set_threads(3)
    with pytest.raises(PacketsMisleadError):
        list(stream.frames())
    stream.close()


class WatchedCodec:
    """A codec that counts how often it is flushed, and may be closed by another thread while it decodes."""

    def __init__(self, codec: Any, while_decoding: Callable[[], object] = lambda: None) -> None:
        self._codec = codec
        self._while_decoding = while_decoding
        self.num_flushed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def flush_buffers(self) -> None:
        self.num_flushed += 1
        self._codec.flush_buffers()

    def decode(self, packet: Any) -> Any:
        self._while_decoding()
        return self._codec.decode(packet)


@pytest.mark.parametrize(("num_threads", "num_flushed"), [(1, 0), (4, 1)])
def test_a_codecs_threads_are_at_rest_before_it_is_freed(tmp_path: Path, num_threads: int, num_flushed: int) -> None:
    encode(tmp_path / "clip.mp4", PLAIN)
    stream = open_stream(tmp_path / "clip.mp4")
    stream.set_threads(num_threads)
    stream.codec = codec = WatchedCodec(stream.codec)
    next(stream.frames())
    stream.close()
    assert codec.num_flushed == num_flushed


def test_a_stream_that_another_thread_closes_is_stopped_by_who_decodes(tmp_path: Path) -> None:
    encode(tmp_path / "clip.mp4", PLAIN)
    stream = open_stream(tmp_path / "clip.mp4")
    stream.set_threads(4)
    stream.codec = codec = WatchedCodec(stream.codec, while_decoding=stream.close)
    with pytest.raises(Stopped):
        next(stream.frames())
    assert codec.num_flushed == 1


@pytest.mark.parametrize("ending", ["stream.close()", "del stream"])
def test_a_stream_that_is_left_in_the_middle_never_waits_for_ever(shared_data: Path, ending: str) -> None:
    program = (
        "import sys; from itertools import islice; from pathlib import Path\n"
        "from videoclf.media.budget import Budget\n"
        "from videoclf.media.gate import admit\n"
        "from videoclf.media.limits import DEFAULT_LIMITS\n"
        "from videoclf.media.options import ReadOptions\n"
        "from videoclf.media.pyav_stream import OpenStream\n"
        "path = Path(sys.argv[1])\n"
        "for i in range(60):\n"
        "    stream = OpenStream(admit(path), ReadOptions(), Budget(path, DEFAULT_LIMITS))\n"
        "    stream.set_threads(4); frames = stream.frames()\n"
        f"    list(islice(frames, i % 20)); {ending}; stream = frames = None\n"
    )
    path = shared_data / "odd/fate/av1/av1-1-b8-03-sizeup.mp4"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60, cwd=ROOT)
