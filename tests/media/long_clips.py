"""Coded clips in which a decoder finds it worth while to jump, or to decode several stretches at once."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.media.coded_clips import ClipRecipe, Coding, encode
from tests.media.timing_clips import H264, MJPEG, MPEG4

NUM_LONG_FRAMES = 1000
"""40 s: between five moments spread over it lie more packets than are worth reading."""
NUM_BIG_FRAMES = 64
"""Of 480×320, in stretches of 12: enough work for two threads."""

_QUICK = {"preset": "ultrafast", "g": "50", "bf": "2"}
_LONG_H264 = replace(H264, options=_QUICK)
_OPEN_GOP = replace(H264, options={"x264-params": "open-gop=1:keyint=25:min-keyint=25:bframes=3:b-adapt=0:ref=3"})
_ONE_GOP = replace(H264, options={**_QUICK, "g": "2000"})
_REFRESHED = replace(H264, options={"x264-params": "intra-refresh=1:keyint=25:bframes=0", "preset": "veryfast"})
_H265_OPEN = Coding(
    encoder="libx265",
    options={
        "preset": "ultrafast",
        "x265-params": "log-level=none:keyint=25:min-keyint=25:bframes=3:open-gop=1:b-adapt=0",
    },
)
_MPEG4 = replace(MPEG4, options={"g": "50", "bf": "2"})
_MPEG4_NO_B = replace(MPEG4, options={"g": "50", "bf": "0"})
_MPEG2 = Coding(encoder="mpeg2video", options={"g": "15", "bf": "2"})
_VP9 = Coding(encoder="libvpx-vp9", options={"g": "50", "cpu-used": "8", "deadline": "realtime"})
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def _long(name: str, coding: Coding) -> ClipRecipe:
    return ClipRecipe(f"long-{name}", lambda path: encode(path, coding, numbers=range(NUM_LONG_FRAMES)))


def _irregular(name: str, coding: Coding) -> ClipRecipe:
    """Frames that last from 20 ms to 140 ms, in an order that never repeats."""
    stamps = [0]
    for number in range(1, NUM_LONG_FRAMES):
        stamps.append(stamps[-1] + 20 + 40 * (number * number % 4) % 140)
    return ClipRecipe(
        f"long-{name}",
        lambda path: encode(path, coding, numbers=range(NUM_LONG_FRAMES), stamps=stamps, time_base=Fraction(1, 1000)),
    )


def _big(name: str, coding: Coding) -> ClipRecipe:
    coding = replace(coding, width=480, height=320, bit_rate=8_000_000)
    return ClipRecipe(f"big-{name}", lambda path: encode(path, coding, numbers=range(NUM_BIG_FRAMES)))


LONG_CLIPS = [
    _long("h264.mp4", _LONG_H264),
    _long("h264.mkv", replace(_LONG_H264, fps=Fraction(30000, 1001))),
    _long("h264.avi", _LONG_H264),
    _long("h264.ts", _LONG_H264),
    _long("h264-open-gop.mp4", _OPEN_GOP),
    _long("h264-one-gop.mp4", _ONE_GOP),
    _long("h264-intra-refresh.mp4", _REFRESHED),
    _long("h264-fragmented.mp4", replace(_LONG_H264, muxer_options=_FRAGMENTED)),
    _long("h264-no-cues.mkv", replace(_LONG_H264, muxer="matroska", muxer_options={"live": "1"})),
    _irregular("h264-irregular.mkv", _LONG_H264),
    _long("h265-open-gop.mp4", _H265_OPEN),
    _long("mpeg4-b.avi", _MPEG4),
    _long("mpeg4-no-b.avi", _MPEG4_NO_B),
    _long("mpeg4-b.mp4", _MPEG4),
    _long("mpeg2.ts", _MPEG2),
    _long("mpeg2.mkv", _MPEG2),
    _long("mjpeg.mov", MJPEG),
    _long("vp9.webm", _VP9),
]

BIG_CLIPS = [
    _big("h264.mp4", H264),
    _big("h264.ts", H264),
    _big("h264-open-gop.mp4", _OPEN_GOP),
    _big("h264-intra-refresh.mp4", _REFRESHED),
    _big("mpeg4-b.avi", MPEG4),
    _big("mpeg2.ts", _MPEG2),
    _big("h265-open-gop.mp4", _H265_OPEN),
]
