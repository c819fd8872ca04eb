"""What a video may ask of the machine, and how to change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.errors import SourceRefusedError, UsageInvalidError
from videoclf.media.budget import Budget
from videoclf.media.limits import DEFAULT_LIMITS, Limits, limits_with

PATH = Path("clip.mp4")


def test_a_limit_is_changed_by_name() -> None:
    limits = limits_with(["max_streams=5", "max_decode_seconds=0.5"])
    assert (limits.max_streams, limits.max_decode_seconds) == (5, 0.5)
    assert limits.max_duration_seconds == DEFAULT_LIMITS.max_duration_seconds


@pytest.mark.parametrize(
    "change", ["max_streams=0", "max_streams=many", "max_streams", "max_streams=inf", "=1", "size=1"]
)
def test_what_means_nothing_is_refused(change: str) -> None:
    with pytest.raises(UsageInvalidError, match=f"limit='{change}': "):
        limits_with([change])


def test_time_in_the_codec_is_limited_over_all_calls() -> None:
    budget = Budget(PATH, Limits(max_decode_seconds=1))
    budget.spend(0.7)
    with pytest.raises(SourceRefusedError, match=r"^clip\.mp4: decoding took more than the 1 s allowed; .*ffmpeg"):
        budget.spend(0.7)


def test_frames_are_limited_in_pixels_and_memory() -> None:
    Budget(PATH, DEFAULT_LIMITS).check_size(8192, 8192)
    with pytest.raises(SourceRefusedError, match="8193×8192, more than the 67,108,864 pixels allowed"):
        Budget(PATH, DEFAULT_LIMITS).check_size(8193, 8192)
    with pytest.raises(SourceRefusedError, match="1920×1080, which need more than the 100,000,000 bytes"):
        Budget(PATH, Limits(max_memory_bytes=10**8)).check_size(1920, 1080)


def test_damage_is_counted_and_forgotten() -> None:
    budget = Budget(PATH, DEFAULT_LIMITS)
    budget.note_damage("one\nreason")
    assert (budget.num_damaged, budget.damage) == (1, "one reason")
    budget.forget_damage()
    assert (budget.num_damaged, budget.damage) == (0, "")
