"""One open file: its codec gets the threads asked for, and with several of them nothing is concealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.coded_clips import encode
from tests.media.test_damage import PLAIN, noise, with_packet_changed
from videoclf.media.budget import Budget
from videoclf.media.gate import admit
from videoclf.media.limits import DEFAULT_LIMITS
from videoclf.media.options import ReadOptions
from videoclf.media.pyav_stream import OpenStream, PacketsMislead


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
    with pytest.raises(PacketsMislead):
        list(stream.frames())
    stream.close()
