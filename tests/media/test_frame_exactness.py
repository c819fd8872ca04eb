"""Every decoder gives the very frame that is on display at each moment, over codecs, containers and odd structures."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from fnmatch import filter as fnmatch_filter
from pathlib import Path

import numpy as np
import pytest

from tests.media.codec_clips import CODEC_CLIPS, H264_CLIPS, INTRA_CLIPS, MPEG_CLIPS, OLD_CLIPS, WEB_CLIPS
from tests.media.coded_clips import Clip, ClipRecipe, read_number
from tests.media.conftest import MakeClip
from tests.media.decoders import DECODERS, MAY_REFUSE, PlanName, may_refuse, plans_of, read
from tests.media.long_clips import BIG_CLIPS, LONG_CLIPS
from tests.media.picture_clips import PICTURE_CLIPS
from tests.media.structure_clips import STRUCTURE_CLIPS, write_two_streams
from tests.media.timing_clips import H264, TIMING_CLIPS
from videoclf.errors import MediaError, VideoclfError
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.media.sampling import SamplingPlan
from videoclf.media.video import Video

PTS_TOLERANCE_SECONDS = 1.1e-3
"""Matroska, ASF and FLV round both the first stamp and a frame's own to milliseconds."""

ALL_CLIPS = [*CODEC_CLIPS, *TIMING_CLIPS, *STRUCTURE_CLIPS, *PICTURE_CLIPS, *LONG_CLIPS, *BIG_CLIPS]
EVERYDAY = CODEC_CLIPS[0]
"""H.264 with B-frames in MP4."""
FEW_PLANS: Set[PlanName] = {PlanName.DENSE, PlanName.SPARSE}
LONG_PLANS: Set[PlanName] = {PlanName.FAR, PlanName.LATE, PlanName.RANDOM}


def assert_the_frames_on_display(clip: Clip, decoder: DecoderName, plan: SamplingPlan, num_threads: int) -> None:
    frames = read(clip.path, decoder, plan, num_threads=num_threads)
    moments = plan.timestamps_seconds.tolist()
    assert [read_number(frame.rgb) for frame in frames] == [clip.number_at(moment) for moment in moments]
    assert {frame.rgb.shape for frame in frames} == {(clip.height, clip.width, 3)}
    assert [frame.pts_seconds for frame in frames] == pytest.approx(
        [clip.appear_seconds[clip.index_at(moment)] for moment in moments], abs=PTS_TOLERANCE_SECONDS
    )


def assert_exact(clip: Clip, decoder: DecoderName, plan_names: Set[PlanName], num_threads: int = 1) -> None:
    """For each of the plans the frames on display; or, where that is documented, a refusal: never other frames."""
    for name, plan in plans_of(clip).items():
        if name not in plan_names:
            continue
        try:
            assert_the_frames_on_display(clip, decoder, plan, num_threads)
        except MediaError as error:
            if not may_refuse(decoder, clip.path.name):
                error.add_note(f"plan: {name}, {plan!r}")
                raise
        except AssertionError as error:
            error.add_note(f"plan: {name}, {plan!r}")
            raise


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("recipe", [*H264_CLIPS, *MPEG_CLIPS, *TIMING_CLIPS, *STRUCTURE_CLIPS], ids=str)
def test_the_frame_on_display_is_given(recipe: ClipRecipe, decoder: DecoderName, make_clip: MakeClip) -> None:
    assert_exact(make_clip(recipe), decoder, set(PlanName) - {PlanName.FAR})


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("recipe", [*WEB_CLIPS, *INTRA_CLIPS, *OLD_CLIPS], ids=str)
def test_the_frame_on_display_is_given_of_other_codecs(
    recipe: ClipRecipe, decoder: DecoderName, make_clip: MakeClip
) -> None:
    assert_exact(make_clip(recipe), decoder, FEW_PLANS | {PlanName.LATE})


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("recipe", PICTURE_CLIPS, ids=str)
def test_pictures_are_upright_whole_and_of_the_displayed_size(
    recipe: ClipRecipe, decoder: DecoderName, make_clip: MakeClip
) -> None:
    assert_exact(make_clip(recipe), decoder, FEW_PLANS)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("recipe", LONG_CLIPS, ids=str)
def test_the_frame_on_display_is_given_where_a_decoder_jumps(
    recipe: ClipRecipe, decoder: DecoderName, make_clip: MakeClip
) -> None:
    assert_exact(make_clip(recipe), decoder, LONG_PLANS)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(
    ("recipe", "num_threads"),
    [*((recipe, 2) for recipe in [*BIG_CLIPS, *CODEC_CLIPS[::4]]), (BIG_CLIPS[0], 0), (EVERYDAY, 0)],
    ids=str,
)
def test_threads_change_nothing(
    recipe: ClipRecipe, decoder: DecoderName, num_threads: int, make_clip: MakeClip
) -> None:
    assert_exact(make_clip(recipe), decoder, FEW_PLANS, num_threads)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_plan_that_goes_on_after_the_video_ends_with_it(decoder: DecoderName, make_clip: MakeClip) -> None:
    clip = make_clip(EVERYDAY)
    with Video(clip.path, ReadOptions(decoder=decoder), num_threads=1) as video:
        frames = list(video.frames(SamplingPlan(np.array([0.0, 0.93, 0.97, 5.0, 6.0]), 1)))
        assert [read_number(frame.rgb) for frame in frames] == [0, 23]
        assert any("ended early" in warning for warning in video.warnings)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("asked", [None, 0, 1])
@pytest.mark.parametrize("default", [0, 1])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_of_two_video_streams_the_one_asked_for_or_marked_is_read(
    tmp_path: Path, suffix: str, default: int, asked: int | None, decoder: DecoderName
) -> None:
    codings = (H264, replace(H264, width=192, height=128))
    clips = write_two_streams(tmp_path / f"two.{suffix}", codings, (range(24), range(500, 524)), default)
    clip = clips[default if asked is None else asked]
    plan = plans_of(clip)[PlanName.DENSE]
    try:
        with Video(clip.path, ReadOptions(decoder=decoder, video_stream=asked), num_threads=1) as video:
            assert (video.info.width, video.info.height) == (clip.width, clip.height)
            frames = list(video.frames(plan))
    except MediaError:
        if not may_refuse(decoder, clip.path.name):
            raise
        return
    assert [read_number(frame.rgb) for frame in frames] == list(map(clip.number_at, plan.timestamps_seconds.tolist()))


def test_a_video_stream_that_is_not_there_is_refused(make_clip: MakeClip) -> None:
    with pytest.raises(VideoclfError, match="stream"):
        Video(make_clip(EVERYDAY).path, ReadOptions(video_stream=1))


@pytest.mark.parametrize("decoder", [DecoderName.OPENCV, DecoderName.TORCHCODEC])
def test_each_excuse_is_for_a_clip_that_is_there(decoder: DecoderName) -> None:
    names = {recipe.name for recipe in ALL_CLIPS} | {"two.mp4"}
    assert [pattern for pattern in MAY_REFUSE[decoder] if not fnmatch_filter(names, pattern)] == []
    assert sum(may_refuse(decoder, name) for name in names) < len(names) / 2


def test_clips_do_not_share_a_name() -> None:
    names = [recipe.name for recipe in ALL_CLIPS]
    assert sorted(set(names)) == sorted(names)
