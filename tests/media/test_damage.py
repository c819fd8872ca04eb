"""Damage costs the frames that it hits and those that refer to them; no other is lost, shifted or mistaken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.coded_clips import Coding, Unreadable, add_stream, encode, encoded_packets, read_number
from tests.media.decoders import DECODERS
from tests.media.timing_clips import FRAME, H264, MPEG2
from videoclf.errors import MediaError
from videoclf.media.frames import RgbFrame
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

NUM_FRAMES = 60
DAMAGED = range(30, 40)
"""The frames from one key frame to the next, in which the damage lies."""
H264_GOPS = replace(H264, options={"x264-params": "keyint=10:min-keyint=10:scenecut=0:bframes=0"})
MPEG2_GOPS = replace(MPEG2, options={"g": "10", "bf": "0", "sc_threshold": "1000000000"})
EVERY_FRAME = SamplingPlan((np.arange(NUM_FRAMES) + 0.5) / 25, 25)
FRAGMENTED = replace(H264_GOPS, muxer_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})

CONTAINERS = [
    pytest.param("clip.mp4", H264_GOPS, id="h264.mp4"),
    pytest.param("clip.mp4", FRAGMENTED, id="fragmented.mp4"),
    pytest.param("clip.mkv", H264_GOPS, id="h264.mkv"),
    pytest.param("clip.ts", H264_GOPS, id="h264.ts"),
    pytest.param("clip.flv", H264_GOPS, id="h264.flv"),
    pytest.param("clip.avi", H264_GOPS, id="h264.avi"),
    pytest.param("clip.ts", MPEG2_GOPS, id="mpeg2.ts"),
    pytest.param("clip.mkv", MPEG2_GOPS, id="mpeg2.mkv"),
]


def spoil(path: Path, coding: Coding) -> None:
    """Overwrite some of the packet of frame 33 with noise."""
    encode(path, coding, numbers=range(NUM_FRAMES))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][33]
        body = bytes(packet)[12:60]
    content = path.read_bytes()
    assert content.count(body) == 1
    noise = np.random.default_rng(0).integers(0, 256, len(body), dtype=np.uint8).tobytes()
    place = content.index(body)
    path.write_bytes(content[:place] + noise + content[place + len(noise) :])


def lose(path: Path, coding: Coding) -> None:
    """Leave the packets of frames 33 to 35 out."""
    with av.open(str(path), "w", options=dict(coding.muxer_options)) as container:
        stream = add_stream(container, coding, FRAME)
        packets = encoded_packets(stream, coding, range(NUM_FRAMES), range(NUM_FRAMES), FRAME)
        for index, packet in enumerate(packets):
            if index not in range(33, 36):
                container.mux(packet)


def read_every_frame(path: Path, decoder: DecoderName) -> tuple[list[RgbFrame], tuple[str, ...]]:
    """The frames and the warnings."""
    with Video(path, ReadOptions(decoder=decoder), num_threads=1) as video:
        return list(video.frames(EVERY_FRAME)), video.warnings


def assert_only_these_suffer(frames: list[RgbFrame], damaged: range) -> None:
    for frame in frames:
        place = round(frame.pts_seconds * 25)
        try:
            number = read_number(frame.rgb)
        except Unreadable:
            number = None
        assert number == place or place in damaged
    sound = set(range(NUM_FRAMES)) - set(damaged)
    assert sound <= {round(frame.pts_seconds * 25) for frame in frames}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("damage", [spoil, lose])
@pytest.mark.parametrize(("name", "coding"), CONTAINERS)
def test_only_the_damaged_stretch_suffers(
    tmp_path: Path, name: str, coding: Coding, damage: Callable[[Path, Coding], None], decoder: DecoderName
) -> None:
    damage(tmp_path / name, coding)
    try:
        frames, _ = read_every_frame(tmp_path / name, decoder)
    except MediaError:
        if decoder is DecoderName.PYAV:  # only the others may refuse
            raise
        return
    assert_only_these_suffer(frames, DAMAGED)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("name", "coding"), CONTAINERS[1:])
def test_a_file_cut_short_gives_what_is_there_and_says_so(
    tmp_path: Path, name: str, coding: Coding, decoder: DecoderName
) -> None:
    encode(tmp_path / name, coding, numbers=range(NUM_FRAMES))
    content = (tmp_path / name).read_bytes()
    with av.open(str(tmp_path / name)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    (tmp_path / name).write_bytes(content[: starts[45]])
    try:
        frames, warnings = read_every_frame(tmp_path / name, decoder)
    except MediaError:
        if decoder is DecoderName.PYAV:  # only the others may refuse
            raise
        return
    assert_only_these_suffer(frames, range(40, NUM_FRAMES))
    assert warnings
