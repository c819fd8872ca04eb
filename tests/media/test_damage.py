"""Damage costs the frames that it hits and those that refer to them; no other is lost, shifted or mistaken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.media.coded_clips import Coding, UnreadableError, add_stream, encode, encoded_packets, read_number
from tests.media.decoders import DECODERS
from tests.media.timing_clips import FRAME, H264, MPEG2
from videoclf.errors import DecodeFailedError, MediaError
from videoclf.media import pyav_decoder
from videoclf.media.damage import DamageTracker
from videoclf.media.frames import RgbFrame, UInt8Array
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
        except UnreadableError:
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


def _moving(number: int, width: int, height: int) -> Any:
    """Coloured squares that move between frames: what refers to a damaged picture shows it."""
    squares = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    picture = np.roll(squares.repeat(16, 0).repeat(16, 1), (3 * number, 5 * number), (0, 1))
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")


def _x264(params: str) -> Coding:
    options = {"x264-params": f"scenecut=0:b-adapt=0:{params}"}
    return Coding(encoder="libx264", options=options, make_frame=_moving, width=192, height=128)


def _x265(params: str) -> Coding:
    options = {"x265-params": f"log-level=none:scenecut=0:b-adapt=0:{params}"}
    return replace(_x264(""), encoder="libx265", options=options)


def _mpeg(encoder: str) -> Coding:
    return replace(_x264(""), encoder=encoder, options={"g": "16", "bf": "2", "sc_threshold": "1000000000"})


NUM_MOVING = 48
PLAIN = _x264("keyint=16:min-keyint=16:bframes=0")
PYRAMID = _x264("keyint=16:min-keyint=16:bframes=3:b-pyramid=normal")
OPEN_GOP = _x264("keyint=16:min-keyint=16:bframes=3:b-pyramid=normal:open-gop=1")
REFRESHED = _x264("keyint=12:intra-refresh=1:bframes=0")
HEVC = _x265("keyint=16:min-keyint=16:bframes=3:open-gop=0")
HEVC_OPEN_GOP = _x265("keyint=16:min-keyint=16:bframes=3:open-gop=1")
MPEG4_B, MPEG2_B = _mpeg("mpeg4"), _mpeg("mpeg2video")

ChangePacket = Callable[[bytes], bytes | None]


def noise(content: bytes) -> bytes:
    """Some of a packet overwritten."""
    begin = len(content) // 3
    scrap = np.random.default_rng(1).integers(0, 256, min(60, len(content) - begin), dtype=np.uint8).tobytes()
    return content[:begin] + scrap + content[begin + len(scrap) :]


def cut(content: bytes) -> bytes:
    """A packet's last third lost."""
    return content[: len(content) * 2 // 3]


def gone(content: bytes) -> None:
    """The whole packet lost."""
    del content


def with_packet_changed(path: Path, coding: Coding, number: int, change: ChangePacket) -> list[UInt8Array]:
    """Write a clip of which one packet, counted in the order of decoding, is damaged; gives the undamaged frames."""
    clean = path.with_name(f"clean{path.suffix}")
    encode(clean, coding, numbers=range(NUM_MOVING))
    with av.open(str(clean)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for index, packet in enumerate(packets):
            content = change(bytes(packet)) if index == number else bytes(packet)
            if content is None:
                continue
            changed: Any = av.Packet(content)
            changed.pts, changed.dts, changed.duration = packet.pts, packet.dts, packet.duration
            changed.time_base, changed.is_keyframe, changed.stream = packet.time_base, packet.is_keyframe, stream
            target.mux(changed)
    return frames_of(clean)


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24", threads=1) for frame in container.decode(video=0)]


def numbers_served(path: Path, clean: Sequence[UInt8Array], wanted: Collection[int], num_threads: int = 1) -> set[int]:
    """Which frames are served, in their right places; each is compared with the undamaged one."""
    plan = SamplingPlan((np.array(sorted(wanted)) + 0.5) / 25, 25)
    served = set()
    try:
        with Video(path, num_threads=num_threads) as video:
            for frame in video.frames(plan):
                number = round(frame.pts_seconds * 25)
                assert np.abs(frame.rgb.astype(np.int16) - clean[number]).mean() < 0.5, f"frame {number} is wrong"
                served.add(number)
    except DecodeFailedError as error:
        assert "too few are left" in str(error)  # noqa: PT017
    return served


@pytest.mark.parametrize(
    ("coding", "number", "change", "lost"),
    [
        pytest.param(PLAIN, 16, noise, range(16, 32), id="a keyframe"),
        pytest.param(PLAIN, 0, noise, range(16), id="the first keyframe"),
        pytest.param(PYRAMID, 0, noise, range(16), id="the first keyframe, B-frames"),
        pytest.param(PLAIN, 21, noise, range(21, 32), id="a frame in between"),
        pytest.param(PLAIN, 21, cut, range(21, 32), id="a frame that does not come out"),
        pytest.param(PYRAMID, 20, noise, [19], id="a B-frame that nothing refers to"),
        pytest.param(PYRAMID, 20, cut, [19], id="a B-frame that does not come out"),
        pytest.param(PYRAMID, 22, noise, {*range(21, 32)} - {24}, id="a B-frame that others refer to"),
        pytest.param(PYRAMID, 21, noise, range(21, 32), id="a P-frame, B-frames before it"),
        pytest.param(OPEN_GOP, 9, noise, range(9, 16), id="before an open group, whose first frames refer back"),
        pytest.param(REFRESHED, 20, noise, range(20, 34), id="refreshed stripe by stripe"),
        pytest.param(PLAIN, 16, gone, range(16, 32), id="a keyframe is missing"),
        pytest.param(PLAIN, 21, gone, range(21, 32), id="a frame is missing"),
        pytest.param(PYRAMID, 20, gone, [19], id="a B-frame that nothing refers to is missing"),
        pytest.param(HEVC, 22, cut, {*range(21, 32)} - {24}, id="hevc"),
        pytest.param(HEVC, 20, cut, [19], id="hevc, nothing refers to it"),
        pytest.param(HEVC, 22, gone, {*range(21, 32)} - {24}, id="hevc, a packet is missing"),
        pytest.param(HEVC_OPEN_GOP, 9, cut, range(9, 16), id="hevc, open group"),
        pytest.param(MPEG4_B, 22, noise, range(22, 33), id="mpeg4"),
        pytest.param(MPEG4_B, 21, noise, [20], id="mpeg4, a B-frame"),
        pytest.param(MPEG2_B, 22, noise, range(22, 33), id="mpeg2"),
        pytest.param(MPEG2_B, 21, noise, [20], id="mpeg2, a B-frame"),
    ],
)
@pytest.mark.parametrize("num_threads", [1, 4])
def test_what_refers_to_damage_is_left_out_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    coding: Coding,
    number: int,
    change: ChangePacket,
    lost: Collection[int],
    num_threads: int,
) -> None:
    monkeypatch.setattr(pyav_decoder, "_SMALL_FRAME_PIXELS", 0)  # else no codec gets threads
    clean = with_packet_changed(tmp_path / "clip.mkv", coding, number, change)
    every_frame, every_seventh = range(NUM_MOVING), range(3, NUM_MOVING, 7)
    served = numbers_served(tmp_path / "clip.mkv", clean, every_frame, num_threads)
    assert served == set(every_frame) - set(lost)
    served = numbers_served(tmp_path / "clip.mkv", clean, every_seventh, num_threads)
    assert served == set(every_seventh) - set(lost)


TS_PACKET_BYTES = 188


def without_transport_packets(path: Path, coding: Coding, number: int, part: slice) -> list[UInt8Array]:
    """A transport stream that lost some of the packets that carry one frame; gives the undamaged frames."""
    encode(path, coding, numbers=range(NUM_MOVING))
    clean = frames_of(path)
    content = path.read_bytes()
    packets = [content[at : at + TS_PACKET_BYTES] for at in range(0, len(content), TS_PACKET_BYTES)]
    frames: list[list[int]] = []
    for index, packet in enumerate(packets):
        if (packet[1] & 0x1F, packet[2]) == (1, 0):  # the video's number, 256, by FFmpeg's muxer
            if packet[1] & 0x40:
                frames.append([])
            frames[-1].append(index)
    lost = frames[number][part]
    assert len(lost) % 16, "transport packets are counted by 16"
    path.write_bytes(b"".join(packet for index, packet in enumerate(packets) if index not in lost))
    return clean


MIDDLE, WHOLE, BEGIN = slice(3, 5), slice(None), slice(1)


@pytest.mark.parametrize(
    ("coding", "number", "part", "lost"),
    [
        pytest.param(PLAIN, 16, MIDDLE, range(16, 32), id="a keyframe"),
        pytest.param(PLAIN, 21, WHOLE, range(21, 32), id="a whole frame"),
        pytest.param(PLAIN, 21, BEGIN, range(21, 32), id="a frame's first packet"),
        pytest.param(PYRAMID, 20, MIDDLE, [19], id="a B-frame that nothing refers to"),
        pytest.param(HEVC, 16, MIDDLE, range(16, 32), id="hevc, a keyframe"),
        pytest.param(HEVC, 20, MIDDLE, [19], id="hevc, nothing refers to it"),
        pytest.param(MPEG2_B, 22, MIDDLE, range(22, 33), id="mpeg2"),
    ],
)
def test_what_a_transport_stream_lost_costs_the_frames_that_it_hits(
    tmp_path: Path, coding: Coding, number: int, part: slice, lost: Collection[int]
) -> None:
    clean = without_transport_packets(tmp_path / "clip.ts", coding, number, part)
    served = numbers_served(tmp_path / "clip.ts", clean, range(NUM_MOVING))
    assert served == set(range(NUM_MOVING)) - set(lost)
    served = numbers_served(tmp_path / "clip.ts", clean, range(2, NUM_MOVING, 7))
    assert served == set(range(2, NUM_MOVING, 7)) - set(lost)


def test_another_decoder_refuses_a_transport_stream_that_lost_packets(tmp_path: Path) -> None:
    without_transport_packets(tmp_path / "clip.ts", PLAIN, 16, MIDDLE)
    with (
        Video(tmp_path / "clip.ts", ReadOptions(decoder=DecoderName.OPENCV)) as video,
        pytest.raises(
            DecodeFailedError, match="OpenCV does not report which frames of this file are incomplete, .*decoder='pyav'"
        ),
    ):
        list(video.frames(video.plan(5)))


@pytest.mark.parametrize(
    ("name", "lost"), [("h264_lost_packets.ts", range(30, 60)), ("h264_damaged.mkv", range(15, 30))]
)
def test_reported_files_serve_no_broken_picture(shared_data: Path, name: str, lost: range) -> None:
    with Video(shared_data / "reported" / name) as video:
        served = {round(frame.pts_seconds * 10) for frame in video.frames(video.plan(10))}
    assert served == set(range(60)) - set(lost)
    assert f"{len(lost)} of 60 frames were left out because of damage" in video.warnings


@pytest.mark.parametrize("num_behind", range(1, 8))
def test_numbers_of_packets_are_not_lost_where_several_streams_are_decoded_at_once(
    tmp_path: Path, num_behind: int
) -> None:
    coding = replace(H264, options={"x264-params": "keyint=10:bframes=3"})
    path = encode(tmp_path / "clip.mp4", coding, numbers=range(NUM_FRAMES)).path
    with av.open(str(path)) as one, av.open(str(path)) as other:
        first, second = numbers_of(one), numbers_of(other)
        seen_first = [number for _ in range(num_behind) for number in next(first)]
        seen_second: list[Any] = []
        for numbers, later in zip(first, second, strict=False):
            seen_first += numbers
            seen_second += later
        seen_second += [number for numbers in second for number in numbers]
    assert sorted(seen_first, key=str) == sorted(seen_second, key=str) == sorted(range(NUM_FRAMES), key=str)


def numbers_of(container: Any) -> Iterator[list[Any]]:
    """Packet by packet the numbers that its frames bring along."""
    codec = container.streams.video[0].codec_context
    codec.copy_opaque = True
    tracker = DamageTracker(codec, "mov")
    for packet in container.demux(video=0):
        yield [frame.opaque for frame in tracker.decoded(packet, codec.decode)]
