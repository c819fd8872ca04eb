"""How many copies are found, and how many clips that are none are taken for some: on Weizmann's real clips.

    python -m pytest -m slow -s tests/data_check/test_accuracy.py

prints the figures of docs/checking.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.data_check.copies import KINDS, KINDS_BEYOND, CopyKind, write_copy
from videoclf.data.dataset import LabelledClip
from videoclf.data_check.motion_fingerprint import MotionFingerprint
from videoclf.data_check.near_duplicates import find_near_duplicates
from videoclf.data_check.scan import scan
from videoclf.media.sources import videos_below

NUM_THREADS = 2
SUBSET = ("12 frames a second, cut, scaled by 0.7, MPEG-4 q 12", "mirrored, cut, scaled by 0.5, crf 28")


def sign(paths: Sequence[Path]) -> list[MotionFingerprint | None]:
    clips = [LabelledClip(path, path.parent.name, None) for path in paths]
    return [each.fingerprint for each in scan(clips, num_threads=NUM_THREADS)]


def copy_all(originals: Sequence[Path], folder: Path, kind: CopyKind) -> list[Path]:
    folder.mkdir()
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        return list(pool.map(lambda path: write_copy(path, folder, kind), originals))


def find_copies(
    originals: Sequence[Path], fingerprints: Sequence[MotionFingerprint | None], copies: Sequence[Path]
) -> tuple[set[int], list[tuple[str, str]]]:
    """Which originals are found by their copy, and which are taken for the copy of another."""
    num = len(originals)
    pairs = find_near_duplicates(
        [*originals, *copies],
        [*fingerprints, *sign(copies)],
        num_threads=NUM_THREADS,
        is_wanted=lambda first, second: first < num <= second,
    )
    found = {pair.first for pair in pairs if pair.second == pair.first + num}
    false = [(originals[p.first].stem, copies[p.second - num].stem) for p in pairs if p.second != p.first + num]
    return found, false


def test_copies_of_real_clips_are_found_and_others_are_not(shared_data: Path, tmp_path: Path) -> None:
    originals = videos_below(shared_data / "weizmann")[::9]
    fingerprints = sign(originals)
    assert find_near_duplicates(originals, fingerprints, num_threads=NUM_THREADS) == []
    for number, name in enumerate(SUBSET):
        found, false = find_copies(originals, fingerprints, copy_all(originals, tmp_path / str(number), KINDS[name]))
        assert len(found) >= len(originals) - 1, name
        assert false == [], name


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_recall_and_false_alarms(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    originals = videos_below(shared_data / "weizmann")
    fingerprints = sign(originals)
    alarms = find_near_duplicates(originals, fingerprints, num_threads=NUM_THREADS)
    num_pairs = len(originals) * (len(originals) - 1) // 2
    with capsys.disabled():
        print(f"\n{len(originals)} clips, {num_pairs} pairs of different ones: {len(alarms)} false alarms")  # noqa: T201
    num_found = num_copies = 0
    all_false = []
    for number, (name, kind) in enumerate((KINDS | KINDS_BEYOND).items()):
        found, false = find_copies(originals, fingerprints, copy_all(originals, tmp_path / str(number), kind))
        all_false += false
        if name in KINDS:
            num_found += len(found)
            num_copies += len(originals)
        with capsys.disabled():
            print(f"{name:55} {len(found) / len(originals):.3f} found, {len(false)} taken for another's")  # noqa: T201
    with capsys.disabled():
        print(f"{'all that must be found':55} {num_found / num_copies:.3f} ({num_found} of {num_copies})")  # noqa: T201
    assert alarms == []
    assert all_false == []
    assert num_found >= 0.95 * num_copies
