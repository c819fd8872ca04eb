"""Whatever is done to a video, it is read or refused in one typed line, in bounded time and memory.

python -m pytest -m slow tests/media/test_fuzz.py                                  5,000 cases
VIDEOCLF_FUZZ_CASES=100000-200000 VIDEOCLF_FUZZ_KEEP=kept python -m pytest -m slow tests/media/test_fuzz.py
VIDEOCLF_FUZZ_CASES=1234-1235 python -m pytest -m slow tests/media/test_fuzz.py    one case again
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import SHARED
from tests.media.fuzzing import Tally, coded_seeds, foreign_seeds, mutated
from videoclf.media.limits import Limits
from videoclf.media.options import Picking, ReadOptions
from videoclf.media.video import Video

MAX_CHILD_BYTES = 1 << 30
LIMITS = Limits(max_stall_seconds=20, max_decode_seconds=60, max_memory_bytes=MAX_CHILD_BYTES)
OPTIONS = [ReadOptions(limits=LIMITS), ReadOptions(limits=LIMITS, picking=Picking.FAST)]
"""The cases take turns."""


def test_a_few_damaged_videos_are_read_or_refused(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "kept")
    seeds = coded_seeds()
    for case in range(40):
        tally.run(*mutated(case, seeds), tmp_path, OPTIONS[case % 2])
    assert not tally.untyped, tally
    assert not tally.stalls, tally
    assert sum(tally.outcomes.values()) == 40


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_thousands_of_damaged_videos_are_read_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, end = map(int, os.environ.get("VIDEOCLF_FUZZ_CASES", "0-5000").split("-"))
    kept = Path(os.environ.get("VIDEOCLF_FUZZ_KEEP", tmp_path / "kept"))
    tally = Tally(kept)
    seeds = coded_seeds() + foreign_seeds(SHARED / "data/odd")
    for case in range(first, end):
        tally.run(*mutated(case, seeds), tmp_path, OPTIONS[case % 2])
    with capsys.disabled():
        sys.stdout.write(f"\n{tally}\n")
    assert not tally.untyped, f"kept in {kept}"
    assert not tally.stalls, f"kept in {kept}"
    assert tally.slowest[0] < 60, tally.slowest
    assert tally.peak_child_bytes < 2 * MAX_CHILD_BYTES


@pytest.mark.slow
def test_the_seeds_are_sound_and_the_same_each_time(tmp_path: Path) -> None:
    for seed, again in zip(coded_seeds(), coded_seeds(), strict=True):
        path = tmp_path / seed.name
        path.write_bytes(seed.content)
        with Video(path) as video:
            assert len(list(video.frames(video.plan(25)))) >= 1, seed
        assert seed.content == again.content, seed
