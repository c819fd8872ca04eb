"""Which decoders a test runs over, and the moments it asks them for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.media.coded_clips import Clip
from videoclf.errors import DeviceUnavailableError
from videoclf.media.frames import RgbFrame
from videoclf.media.options import DEFAULT_READ_OPTIONS, DecoderName, ReadOptions
from videoclf.media.sampling import SamplingPlan
from videoclf.media.torchcodec_decoder import video_decoder_class
from videoclf.media.video import Video


def why_missing(decoder: DecoderName) -> str:
    """Why a decoder cannot be tested here; empty where it can."""
    if decoder == DecoderName.TORCHCODEC:
        try:
            video_decoder_class()
        except DeviceUnavailableError as error:
            return str(error)
    return ""


DECODERS: list[Any] = [
    pytest.param(name, id=name, marks=pytest.mark.skipif(bool(why_missing(name)), reason=why_missing(name)))
    for name in DecoderName
]
"""Parameters for a test that runs over every decoder."""


_STAMPS = "its stamps are guessed from the order of packets"
_BAD_SEEK = "FFmpeg does not find the packet it seeks, and TorchCodec decodes from another"
_NO_KEYS = "every packet is marked as a key, whether it is one or not"
_HIDDEN_KEYS = "decoding cannot start at every packet that is marked as a key"
MAY_REFUSE: Mapping[DecoderName, Mapping[str, str]] = {
    DecoderName.PYAV: {},
    DecoderName.OPENCV: {
        "av1.*": "its wheel has no AV1 decoder",
        "libsvtav1-*": "its wheel has no AV1 decoder",
        "*interlaced*": "it gives black pictures for interlaced ones",
        "dv.*": "it gives black pictures for interlaced ones",
        "two.*": "it cannot be told which of several video streams to read",
    },
    DecoderName.TORCHCODEC: {
        "*.avi": _STAMPS,
        "*.mxf": _STAMPS,
        "*.asf": _STAMPS,
        "*.h264": _STAMPS,
        "*.hevc": _STAMPS,
        "*.m4v": _STAMPS,
        "*.m[12]v": _STAMPS,
        "same-moment-*": _STAMPS,
        "*.ts": _BAD_SEEK,
        "*.mpg": _BAD_SEEK,
        "*gif*.gif": _NO_KEYS,
        "*.rm": _NO_KEYS,
        "*qtrle*": _NO_KEYS,
        "cineform.mov": _NO_KEYS,
        "flashsv.flv": _NO_KEYS,
        "palette-*": "only the first packet brings the palette",
        "rpza.mov": _NO_KEYS,
        "svq1.mov": _NO_KEYS,
        "*open-gop*": _HIDDEN_KEYS,
        "*intra-refresh*": _HIDDEN_KEYS,
        "mirrored*": "it does not mirror",
        "transposed*": "it does not mirror",
        "dirac.mkv": "FFmpeg 5 does not open it",
    },
}
"""Clips (patterns of their names) that a decoder need not be able to read, and why: it gives the right frames or
refuses. All others it must read."""


def may_refuse(decoder: DecoderName, clip_name: str) -> bool:
    """Whether a refusal, instead of frames, is known and documented."""
    return any(fnmatch(clip_name, pattern) for pattern in MAY_REFUSE[decoder])


def read(
    path: Path,
    decoder: DecoderName,
    plan: SamplingPlan,
    *,
    num_threads: int = 1,
    options: ReadOptions = DEFAULT_READ_OPTIONS,
) -> list[RgbFrame]:
    """The frames that a decoder gives for a plan."""
    with Video(path, replace(options, decoder=decoder), num_threads=num_threads) as video:
        return list(video.frames(plan))


_AFTER_ROUNDING_SECONDS = 1.6e-3
"""So long before a frame appears the one before is meant, though a container rounds both ends to milliseconds."""


class PlanName(StrEnum):
    """Kinds of plans."""

    DENSE = "dense"
    """Each frame at the very moment it appears, halfway, and shortly before it leaves."""
    SPARSE = "sparse"
    """Five moments spread out."""
    FAR = "far"
    """Three, between which a decoder may want to jump."""
    EIGHT_FPS = "eight_fps"
    """As models ask."""
    LATE = "late"
    """Nothing of the first 60 %."""
    LAST = "last"
    """One moment of the last frame."""
    RANDOM = "random"
    """Twelve moments by chance, the same each time."""


def plans_of(clip: Clip) -> Mapping[PlanName, SamplingPlan]:
    """Plans of all kinds for a clip, all within it."""
    appear = np.array(clip.appear_seconds)
    leave = np.append(appear[1:], clip.end_seconds)
    middle = (appear + leave) / 2
    almost = leave[:-1] - _AFTER_ROUNDING_SECONDS
    random = np.random.default_rng(zlib.crc32(clip.path.name.encode())).uniform(0, middle[-1], 12)
    end = middle[-1]
    return {
        PlanName.DENSE: _plan(np.concatenate([appear, middle, almost[almost > appear[:-1]]]), 75),
        PlanName.SPARSE: _plan(_off_edges(clip, np.linspace(0.1, 0.98, 5) * end), 2),
        PlanName.FAR: _plan(_off_edges(clip, np.array([0.05, 0.5, 0.97]) * end), 2),
        PlanName.EIGHT_FPS: _plan(_off_edges(clip, np.arange(0, end, 1 / 8)), 8),
        PlanName.LATE: _plan(_off_edges(clip, np.linspace(0.6, 1, 8) * end), 10),
        PlanName.LAST: _plan(middle[-1:], 1),
        PlanName.RANDOM: _plan(_off_edges(clip, random), 12 / max(end, 0.1)),
    }


def _off_edges(clip: Clip, moments: Any) -> Any:
    """Moments that fall just before a frame appears, where rounding may decide, moved onto its appearance."""
    appear = np.array(clip.appear_seconds)
    nearest = appear[np.abs(moments[:, None] - appear).argmin(axis=1)]
    return np.where(np.abs(moments - nearest) < _AFTER_ROUNDING_SECONDS, nearest, moments)


def _plan(moments: Any, fps: float) -> SamplingPlan:
    return SamplingPlan(np.sort(moments), fps)
