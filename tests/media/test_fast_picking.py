"""Fast picking: a frame that is cheaper to decode, on display near the moment, and named truthfully."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.media.codec_clips import CODEC_CLIPS
from tests.media.coded_clips import Clip, ClipRecipe, encode, read_number
from tests.media.conftest import MakeClip
from tests.media.decoders import DECODERS, PlanName, may_refuse, plans_of, read
from tests.media.long_clips import LONG_CLIPS
from tests.media.timing_clips import H264, IRREGULAR_CLIPS
from videoclf.errors import MediaError
from videoclf.media.frames import RgbFrame
from videoclf.media.options import DecoderName, Picking, ReadOptions
from videoclf.media.sampling import SamplingPlan

FAST = ReadOptions(picking=Picking.FAST)
FAST_CLIPS = [*CODEC_CLIPS[:3], *IRREGULAR_CLIPS, *LONG_CLIPS]
FAST_PLANS = (PlanName.SPARSE, PlanName.FAR, PlanName.RANDOM)
MAX_SHIFT_SECONDS = 0.25
ROUNDING_SECONDS = 1.1e-3
_EVERY_SECOND = replace(H264, options={"x264-params": "keyint=25:min-keyint=25:scenecut=0:bframes=2"})
KEYS_EVERY_SECOND = ClipRecipe("keys-every-second.mp4", lambda path: encode(path, _EVERY_SECOND, numbers=range(125)))


def assert_near_and_truthful(clip: Clip, plan: SamplingPlan, frames: list[RgbFrame]) -> None:
    moments = plan.timestamps_seconds.tolist()
    max_shift = min(MAX_SHIFT_SECONDS, min(np.diff(moments), default=2 / plan.fps) / 2)
    leave = [*clip.appear_seconds[1:], clip.end_seconds]
    assert len(frames) == len(moments)
    for frame, moment in zip(frames, moments, strict=True):
        place = clip.numbers.index(read_number(frame.rgb))
        appears = clip.appear_seconds[place]
        assert frame.pts_seconds == pytest.approx(appears, abs=ROUNDING_SECONDS)
        assert max(appears - moment, moment - leave[place]) < max_shift + ROUNDING_SECONDS


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("recipe", FAST_CLIPS, ids=str)
def test_the_frame_is_near_and_its_time_is_true(recipe: ClipRecipe, decoder: DecoderName, make_clip: MakeClip) -> None:
    clip = make_clip(recipe)
    for name in FAST_PLANS:
        plan = plans_of(clip)[name]
        try:
            assert_near_and_truthful(clip, plan, read(clip.path, decoder, plan, options=FAST))
        except MediaError:
            if not may_refuse(decoder, recipe.name):
                raise


def test_a_key_frame_close_to_the_moment_is_taken(make_clip: MakeClip) -> None:
    clip = make_clip(KEYS_EVERY_SECOND)
    near_keys = SamplingPlan(np.array([0.13, 1.13, 1.93, 3.13, 4.13]), 1)
    numbers = [read_number(frame.rgb) for frame in read(clip.path, DecoderName.PYAV, near_keys, options=FAST)]
    assert numbers == [0, 25, 50, 75, 100]
    exact = [read_number(frame.rgb) for frame in read(clip.path, DecoderName.PYAV, near_keys)]
    assert exact == [3, 28, 48, 78, 103]


def test_a_key_frame_too_far_from_the_moment_is_not_taken(make_clip: MakeClip) -> None:
    clip = make_clip(KEYS_EVERY_SECOND)
    amid = SamplingPlan(np.array([0.5, 1.5, 2.5, 3.5]), 1)
    assert_near_and_truthful(clip, amid, read(clip.path, DecoderName.PYAV, amid, options=FAST))
    within_frames = (np.arange(1, 120)[:, None] / 25 + [0.008, 0.02, 0.032]).ravel()
    dense = SamplingPlan(within_frames, 75)  # nearer to each other than any other frame
    numbers = [read_number(frame.rgb) for frame in read(clip.path, DecoderName.PYAV, dense, options=FAST)]
    assert numbers == np.arange(1, 120).repeat(3).tolist()
