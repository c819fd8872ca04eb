"""What a video says of itself is what it shows: size, length, rate, whether frames are evenly spaced."""

from __future__ import annotations

import pytest

from tests.media.codec_clips import CODEC_CLIPS
from tests.media.coded_clips import ClipRecipe
from tests.media.conftest import MakeClip
from tests.media.structure_clips import SOUND_CLIPS
from tests.media.timing_clips import HEADER_CLIPS, IRREGULAR_CLIPS, START_CLIPS
from videoclf.media.frames import VideoInfo
from videoclf.media.video import probe

PLAIN_CLIPS = [recipe for recipe in CODEC_CLIPS if recipe.name != "dirac.ts"]
"""Without one whose last packet, which only says that the stream ends, counts as a frame."""


def info_of(recipe: ClipRecipe, make_clip: MakeClip) -> VideoInfo:
    return probe(make_clip(recipe).path)


@pytest.mark.parametrize("recipe", [*PLAIN_CLIPS, *START_CLIPS, *HEADER_CLIPS, *SOUND_CLIPS], ids=str)
def test_size_length_and_rate_are_true_whatever_the_header_claims(recipe: ClipRecipe, make_clip: MakeClip) -> None:
    clip, info = make_clip(recipe), info_of(recipe, make_clip)
    assert (info.width, info.height) == (clip.width, clip.height)
    assert info.duration_seconds == pytest.approx(clip.end_seconds, abs=2e-3)
    assert info.average_fps == pytest.approx(len(clip.numbers) / clip.end_seconds, rel=5e-3)
    assert info.has_variable_fps in {False, None}


@pytest.mark.parametrize("recipe", IRREGULAR_CLIPS, ids=str)
def test_uneven_spacing_is_noticed(recipe: ClipRecipe, make_clip: MakeClip) -> None:
    clip, info = make_clip(recipe), info_of(recipe, make_clip)
    assert info.has_variable_fps
    last_appears = clip.appear_seconds[-1]
    assert last_appears < info.duration_seconds < last_appears + 0.5  # few containers tell when the last one leaves


@pytest.mark.parametrize("recipe", [clip for clip in START_CLIPS if clip.name.startswith("starts-at-5s")], ids=str)
def test_a_late_start_is_told(recipe: ClipRecipe, make_clip: MakeClip) -> None:
    assert info_of(recipe, make_clip).start_seconds == pytest.approx(5.0, abs=2e-3)
