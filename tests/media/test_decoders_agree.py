"""The decoders give the same pictures for the same moments, and PyAV's are TorchCodec's own."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.media.codec_clips import CODEC_CLIPS
from tests.media.coded_clips import ClipRecipe, encode
from tests.media.conftest import MakeClip
from tests.media.decoders import DECODERS, PlanName, may_refuse, plans_of, read, why_missing
from tests.media.picture_clips import ALPHA_CLIPS, FORMAT_CLIPS, SQUEEZED_CLIPS, TURNED_CLIPS
from tests.media.structure_clips import SOUND_CLIPS
from tests.media.timing_clips import H264, IRREGULAR_CLIPS, START_CLIPS
from videoclf.errors import MediaError
from videoclf.media.frames import RgbFrame
from videoclf.media.options import DecoderName
from videoclf.media.sampling import SamplingPlan

MAX_MEAN_DIFFERENCE = 2.0
"""Of 255: FFmpeg's versions round differently, and chroma is spread over pixels in more than one way."""

MAX_ENLARGED_DIFFERENCE = 3.0
"""FFmpeg makes oblong pixels square before it mixes colours, with another filter than OpenCV afterwards: it shows at
the edges, of which these pictures are full."""

OTHERS = [decoder for decoder in DECODERS if decoder.values != (DecoderName.PYAV,)]
CLIPS = [
    *CODEC_CLIPS[::2], *IRREGULAR_CLIPS, *START_CLIPS, *TURNED_CLIPS, *SQUEEZED_CLIPS, *FORMAT_CLIPS, *ALPHA_CLIPS,
    *SOUND_CLIPS,
]  # fmt: skip


def mean_difference(ours: list[RgbFrame], theirs: list[RgbFrame]) -> float:
    """The largest mean difference of two pictures of one moment."""
    pairs = zip(ours, theirs, strict=True)
    return max(float(np.abs(a.rgb.astype(np.int16) - b.rgb.astype(np.int16)).mean()) for a, b in pairs)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("recipe", CLIPS, ids=str)
def test_another_decoder_gives_the_same_pictures_and_times(
    recipe: ClipRecipe, other: DecoderName, make_clip: MakeClip
) -> None:
    clip = make_clip(recipe)
    plan = plans_of(clip)[PlanName.SPARSE]
    try:
        theirs = read(clip.path, other, plan)
    except MediaError:
        if not may_refuse(other, recipe.name):
            raise
        return
    ours = read(clip.path, DecoderName.PYAV, plan)
    is_enlarged = recipe in SQUEEZED_CLIPS
    assert mean_difference(ours, theirs) <= (MAX_ENLARGED_DIFFERENCE if is_enlarged else MAX_MEAN_DIFFERENCE)
    assert [frame.pts_seconds for frame in ours] == pytest.approx([frame.pts_seconds for frame in theirs], abs=1e-6)


@pytest.mark.parametrize(
    "recipe", [clip for clip in [*CODEC_CLIPS, *IRREGULAR_CLIPS] if clip.name.endswith((".mp4", ".mov"))], ids=str
)
def test_pyav_gives_the_frames_of_torchcodecs_exact_mode(recipe: ClipRecipe, make_clip: MakeClip) -> None:
    if reason := why_missing(DecoderName.TORCHCODEC):
        pytest.skip(reason)
    decoders: Any = importlib.import_module("torchcodec.decoders")
    clip = make_clip(recipe)
    if may_refuse(DecoderName.TORCHCODEC, recipe.name):
        pytest.skip("TorchCodec itself gives other frames than a decode from the start (see MAY_REFUSE)")
    decoder = decoders.VideoDecoder(clip.path, seek_mode="exact", dimension_order="NHWC")
    middles = SamplingPlan(np.array(clip.appear_seconds[:-1]) + np.diff(clip.appear_seconds) / 2, 25)
    begin = float(decoder.metadata.begin_stream_seconds)
    theirs = decoder.get_frames_played_at((middles.timestamps_seconds + begin).tolist())
    ours = read(clip.path, DecoderName.PYAV, middles)
    assert [frame.pts_seconds + begin for frame in ours] == pytest.approx(theirs.pts_seconds.tolist(), abs=1e-4)
    for mine, picture in zip(ours, theirs.data.numpy(), strict=True):
        if mine.rgb.shape == picture.shape:  # TorchCodec leaves pixels as oblong as they are stored
            assert np.abs(mine.rgb.astype(np.int16) - picture).mean() <= MAX_MEAN_DIFFERENCE


def test_the_measure_tells_neighbouring_frames_apart(tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", H264)
    first, second = (read(clip.path, DecoderName.PYAV, SamplingPlan(np.array([at]), 25)) for at in (0.02, 0.06))
    assert mean_difference(first, second) > 10 * MAX_MEAN_DIFFERENCE


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "name",
    ["ut_interaction/hug/v_hug_g01_c002.avi"],
)
def test_real_clips_agree(shared_data: Path, name: str, other: DecoderName) -> None:
    plan = SamplingPlan(np.linspace(0.1, 1.5, 6), 4)
    try:
        theirs = read(shared_data / name, other, plan)
    except MediaError:
        assert other is DecoderName.TORCHCODEC  # its stamps are guessed
        return
    assert mean_difference(read(shared_data / name, DecoderName.PYAV, plan), theirs) <= MAX_MEAN_DIFFERENCE
