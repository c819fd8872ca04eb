"""Coded clips over the codecs and containers that PyAV's wheel can write: constant rate, nothing odd about the file."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from tests.media.coded_clips import ClipRecipe, Coding, encode

NTSC = Fraction(30000, 1001)
FILM = Fraction(24000, 1001)
_THIRTY, _SIXTY = Fraction(30), Fraction(60)
"""Rates whose stamps Matroska, ASF and FLV must round to milliseconds."""


def _clip(name: str, encoder: str, num_frames: int = 24, **coding: Any) -> ClipRecipe:
    return ClipRecipe(name, partial(encode, coding=Coding(encoder=encoder, **coding), numbers=range(num_frames)))


def _h264(name: str, x264: str = "", **coding: Any) -> ClipRecipe:
    options = {"g": "12", "bf": "3", **coding.pop("options", {})}
    return _clip(name, "libx264", options={**options, "x264-params": x264}, **coding)


def _h265(name: str, x265: str = "keyint=8:bframes=3", **coding: Any) -> ClipRecipe:
    return _clip(name, "libx265", options={"x265-params": f"log-level=none:{x265}"}, **coding)


def _mpeg(name: str, encoder: str, bf: int = 2, **coding: Any) -> ClipRecipe:
    return _clip(name, encoder, options={"bf": str(bf), "g": "9"}, **coding)


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
INTERLACED = {"flags": "+ildct+ilme", "field_order": "tt"}

H264_CLIPS = [
    _h264("h264.mp4"),
    _h264("h264.mov", fps=NTSC),
    _h264("h264.mkv", fps=_THIRTY),
    _h264("h264-film.mkv", fps=FILM),
    _h264("h264-sixty.mkv", fps=_SIXTY),
    _h264("h264.avi"),
    _h264("h264.ts", fps=NTSC),
    _h264("h264.flv", fps=_THIRTY),
    _h264("h264.nut"),
    _h264("h264.mxf"),
    _h264("h264.3gp"),
    _h264("h264-no-b.asf", options={"bf": "0"}),
    _h264("h264.h264"),
    _h264("h264-thirty.h264", fps=_THIRTY),
    _h264("h264-one-gop.mp4", options={"g": "250"}, num_frames=36),
    _h264("h264-one-gop.ts", options={"g": "250"}, num_frames=36),
    _h264("h264-intra-only.mp4", options={"g": "1", "bf": "0"}),
    _h264("h264-no-b.mp4", options={"bf": "0"}),
    _h264("h264-deep-pyramid.mp4", "bframes=8:b-pyramid=normal:b-adapt=0:ref=8", num_frames=36),
    _h264("h264-deep-pyramid.ts", "bframes=8:b-pyramid=normal:b-adapt=0:ref=8", num_frames=36),
    _h264("h264-open-gop.mp4", "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0", num_frames=36),
    _h264("h264-open-gop.mkv", "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0", num_frames=36),
    _h264("h264-open-gop.ts", "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0", num_frames=36),
    _h264("h264-intra-refresh.mp4", "intra-refresh=1:keyint=10:bframes=0", num_frames=36),
    _h264("h264-intra-refresh.ts", "intra-refresh=1:keyint=10:bframes=0", num_frames=36),
    _h264("h264-slices.mp4", "slices=4:sliced-threads=1"),
    _h264("h264-interlaced.ts", "interlaced=1:tff=1"),
    _h264("h264-interlaced.mp4", "interlaced=1:bff=1"),
    _h264("h264-fragmented.mp4", muxer_options=FRAGMENTED),
    _h264("h264-fragment-per-frame.mp4", muxer_options={"movflags": "frag_every_frame+empty_moov"}),
    _h264("h264-index-first.mp4", muxer_options={"movflags": "faststart"}),
    _h264("h264-no-cues.mkv", muxer="matroska", muxer_options={"live": "1"}),
    _clip("h264-rgb.mp4", "libx264rgb", pixel_format="rgb24"),
]

MPEG_CLIPS = [
    _h265("h265.mp4"),
    _h265("h265.mkv", fps=_THIRTY),
    _h265("h265.ts", fps=NTSC),
    _h265("h265.hevc"),
    _h265("h265-open-gop.mp4", "keyint=8:min-keyint=8:bframes=3:open-gop=1:b-adapt=0", num_frames=36),
    _h265("h265-open-gop.ts", "keyint=8:min-keyint=8:bframes=3:open-gop=1:b-adapt=0", num_frames=36),
    _mpeg("mpeg4-no-b.avi", "mpeg4", 0),
    _mpeg("mpeg4-b.avi", "mpeg4"),
    _mpeg("mpeg4-no-b.mp4", "mpeg4", 0),
    _mpeg("mpeg4-b.mp4", "mpeg4"),
    _mpeg("mpeg4-b.mkv", "mpeg4", fps=_THIRTY),
    _mpeg("mpeg4-b.m4v", "mpeg4", muxer="m4v"),
    _mpeg("mpeg4-b.nut", "mpeg4"),
    _mpeg("mpeg2.ts", "mpeg2video", fps=NTSC),
    _mpeg("mpeg2-no-b.ts", "mpeg2video", 0),
    _mpeg("mpeg2.mpg", "mpeg2video", muxer="vob"),
    _mpeg("mpeg2-no-b.mpg", "mpeg2video", 0, muxer="vob"),
    _mpeg("mpeg2.m2v", "mpeg2video"),
    _mpeg("mpeg2.mxf", "mpeg2video"),
    _mpeg("mpeg2.mkv", "mpeg2video", fps=NTSC),
    _mpeg("mpeg2.mp4", "mpeg2video"),
    _mpeg("mpeg2.avi", "mpeg2video"),
    _clip("mpeg2-interlaced.ts", "mpeg2video", options={"g": "9", "bf": "2", **INTERLACED}),
    _mpeg("mpeg1.mpg", "mpeg1video"),
    _mpeg("mpeg1-no-b.mpg", "mpeg1video", 0),
    _mpeg("mpeg1.ts", "mpeg1video"),
    _mpeg("mpeg1.m1v", "mpeg1video"),
    _mpeg("mpeg1-no-b.m1v", "mpeg1video", 0),
    _mpeg("mpeg1.avi", "mpeg1video"),
    _mpeg("mpeg1-no-b.avi", "mpeg1video", 0),
    _mpeg("mpeg1.mkv", "mpeg1video"),
]

_HIDDEN_FRAMES = {"auto-alt-ref": "1", "lag-in-frames": "12", "g": "12", "cpu-used": "5"}
"""VP8 and VP9 packets that are decoded and never displayed."""

_AV1: Any = {"options": {"preset": "8", "g": "8", "crf": "15"}, "bit_rate": 0}

WEB_CLIPS = [
    _clip("vp8.webm", "libvpx", options=_HIDDEN_FRAMES, fps=_THIRTY),
    _clip("vp8.ivf", "libvpx", options=_HIDDEN_FRAMES),
    _clip("vp8.ogv", "libvpx", options={"g": "12", "cpu-used": "5"}, muxer="ogg"),
    _clip("vp8.avi", "libvpx", options={"g": "12", "cpu-used": "5"}),
    _clip("vp9.webm", "libvpx-vp9", options=_HIDDEN_FRAMES, fps=_THIRTY),
    _clip("vp9.mp4", "libvpx-vp9", options=_HIDDEN_FRAMES),
    _clip("vp9.ivf", "libvpx-vp9", options=_HIDDEN_FRAMES),
    _clip("av1.mp4", "libsvtav1", **_AV1),
    _clip("av1.mkv", "libsvtav1", **_AV1, fps=_THIRTY),
    _clip("av1.webm", "libsvtav1", **_AV1),
    _clip("av1.ivf", "libsvtav1", **_AV1),
    _clip("av1.obu", "libsvtav1", **_AV1),
    _clip("gif.gif", "gif", pixel_format="rgb8", fps=Fraction(20)),
]

_DV = {"width": 720, "height": 576, "displayed_width": 768, "num_frames": 6}
"""Its pixels are 16:15."""
_H263 = {"width": 176, "height": 144, "displayed_width": 192}
"""Its pixels are 12:11, by the standard."""

INTRA_CLIPS = [
    _clip("mjpeg.avi", "mjpeg", pixel_format="yuvj420p"),
    _clip("mjpeg.mov", "mjpeg", pixel_format="yuvj420p", fps=NTSC),
    _clip("mjpeg.mkv", "mjpeg", pixel_format="yuvj420p", fps=_THIRTY),
    _clip("ffv1.mkv", "ffv1", fps=NTSC),
    _clip("ffv1.avi", "ffv1"),
    _clip("ffv1.nut", "ffv1"),
    _clip("prores.mov", "prores_ks", pixel_format="yuv422p10le"),
    _clip("prores.mkv", "prores_ks", pixel_format="yuv422p10le"),
    _clip("prores.mxf", "prores_ks", pixel_format="yuv422p10le"),
    _clip("huffyuv.avi", "huffyuv", pixel_format="rgb24"),
    _clip("ffvhuff.avi", "ffvhuff"),
    _clip("utvideo.avi", "utvideo"),
    _clip("magicyuv.avi", "magicyuv", pixel_format="gbrp"),
    _clip("ljpeg.avi", "ljpeg", pixel_format="yuvj420p"),
    _clip("jpeg2000.mov", "jpeg2000"),
    _clip("jpeg2000.mxf", "jpeg2000"),
    _clip("dnxhd.mov", "dnxhd", pixel_format="yuv422p", options={"profile": "dnxhr_sq"}, width=256, height=128),
    _clip("dnxhd.mxf", "dnxhd", pixel_format="yuv422p", options={"profile": "dnxhr_sq"}, width=256, height=128),
    _clip("dv.dv", "dvvideo", **_DV),
    _clip("dv.avi", "dvvideo", **_DV),
    _clip("dv.mov", "dvvideo", **_DV),
    _clip("cineform.mov", "cfhd", pixel_format="yuv422p10le"),
    _clip("v210.mov", "v210", pixel_format="yuv422p10le"),
    _clip("raw.avi", "rawvideo"),
    _clip("raw.nut", "rawvideo"),
    _clip("raw.y4m", "rawvideo", muxer="yuv4mpegpipe"),
    _clip("raw-rgb.mov", "rawvideo", pixel_format="rgb24"),
    _clip("png.mov", "png", pixel_format="rgb24"),
]

OLD_CLIPS = [
    _clip("wmv1.wmv", "wmv1", fps=_THIRTY),
    _clip("wmv2.wmv", "wmv2"),
    _clip("wmv2.avi", "wmv2"),
    _clip("msmpeg4v3.avi", "msmpeg4"),
    _clip("msmpeg4v2.avi", "msmpeg4v2"),
    _clip("flv1.flv", "flv", fps=_THIRTY),
    _clip("flashsv.flv", "flashsv", pixel_format="bgr24"),
    _clip("h263.3gp", "h263", **_H263),
    _clip("h263p.avi", "h263p"),
    _clip("h261.avi", "h261", width=176, height=144),
    _clip("rv10.rm", "rv10"),
    _clip("rv20.rm", "rv20"),
    _clip("svq1.mov", "svq1", pixel_format="yuv410p"),
    _clip("cinepak.avi", "cinepak", pixel_format="rgb24", num_frames=12),
    _clip("qtrle.mov", "qtrle", pixel_format="rgb24"),
    _clip("rpza.mov", "rpza", pixel_format="rgb555le"),
    _clip("msvideo1.avi", "msvideo1", pixel_format="rgb555le"),
    _clip("zmbv.avi", "zmbv", pixel_format="bgr0", num_frames=12),
    _clip("asv1.avi", "asv1"),
    _clip("snow.avi", "snow", options={"strict": "-2"}),
    _clip("dirac.mkv", "vc2", options={"strict": "-2"}),
    _clip("dirac.ts", "vc2", options={"strict": "-2"}),
]

CODEC_CLIPS = [*H264_CLIPS, *MPEG_CLIPS, *WEB_CLIPS, *INTRA_CLIPS, *OLD_CLIPS]
