"""Small clips and their copies, from file to verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data_check.copies import KINDS, CopyKind, draw_scene, write_copy, write_frames
from videoclf.data.dataset import LabelledClip
from videoclf.data_check.near_duplicates import NearDuplicate, find_near_duplicates
from videoclf.data_check.scan import scan
from videoclf.media.frames import UInt8Array

HARSH = CopyKind(
    options={"crf": "30", "preset": "veryfast"}, fps=15, scale=(0.75, 0.75), trimmed=(0.2, 0.1), is_mirrored=True
)


def find(*paths: Path) -> list[NearDuplicate]:
    clips = [LabelledClip(path, "any", None) for path in paths]
    return find_near_duplicates(paths, [each.fingerprint for each in scan(clips)], num_threads=2)


def pairs(*paths: Path) -> list[tuple[int, int]]:
    return [(pair.first, pair.second) for pair in find(*paths)]


def write(path: Path, frames: UInt8Array) -> Path:
    return write_frames(path, frames, options={"crf": "18", "preset": "veryfast"})


@pytest.fixture
def scenes(tmp_path: Path) -> list[Path]:
    """Three clips of one fixed camera."""
    return [write(tmp_path / f"scene{seed}.mp4", draw_scene(seed)) for seed in range(3)]


def test_different_clips_of_one_camera_are_no_duplicates(scenes: list[Path]) -> None:
    assert find(*scenes) == []


@pytest.mark.parametrize("kind", [HARSH, *list(KINDS.values())[::3]])
def test_a_copy_is_found_and_only_its_own(scenes: list[Path], tmp_path: Path, kind: CopyKind) -> None:
    (tmp_path / "copy").mkdir()
    found = find(*scenes, write_copy(scenes[1], tmp_path / "copy", kind))
    assert [(pair.first, pair.second, pair.is_mirrored) for pair in found] == [(1, 3, kind.is_mirrored)]


def test_it_says_where_the_copy_was_cut_out(scenes: list[Path], tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy = write_copy(scenes[0], tmp_path / "copy", replace(CopyKind(), trimmed=(0.25, 0.0)))
    (pair,) = find(scenes[0], copy)
    assert pair.similarity.offset_seconds == pytest.approx(-0.6, abs=0.07)
    assert pair.similarity.shared_seconds == pytest.approx(1.8, abs=0.1)


def test_a_clip_in_which_nothing_moves_is_compared_by_its_picture(tmp_path: Path) -> None:
    walls = [np.repeat(draw_scene(0, place=place, num_frames=1), 30, axis=0) for place in (1, 2)]
    first, other = (write(tmp_path / f"{number}.mp4", wall) for number, wall in enumerate(walls))
    (tmp_path / "copy").mkdir()
    copy = write_copy(first, tmp_path / "copy", CopyKind(options={"crf": "30", "preset": "veryfast"}))
    assert pairs(first, other, copy) == [(0, 2)]


def test_of_one_camera_a_still_clip_is_no_copy_of_a_lively_one(tmp_path: Path) -> None:
    lively = draw_scene(0)
    still = np.repeat(np.median(lively, axis=0).astype(np.uint8)[None], 30, axis=0)
    assert find(write(tmp_path / "lively.mp4", lively), write(tmp_path / "still.mp4", still)) == []


@pytest.mark.parametrize("num_frames", [1, 2, 6, 10])
def test_very_short_clips_are_compared(tmp_path: Path, num_frames: int) -> None:
    frames = draw_scene(0, num_frames=num_frames)
    first = write(tmp_path / "first.mp4", frames)
    mirrored = write(tmp_path / "mirrored.mp4", frames[:, :, ::-1])
    other = write(tmp_path / "other.mp4", draw_scene(5, num_frames=num_frames))
    assert pairs(first, mirrored, other) == [(0, 1)]


def test_blank_clips_are_like_no_other(tmp_path: Path) -> None:
    blank = [write(tmp_path / f"{n}.mp4", np.full((20, 64, 64, 3), 16, np.uint8)) for n in range(2)]
    assert find(*blank) == []


def test_more_clips_than_are_held_are_read_again(
    scenes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoclf.data_check.near_duplicates._MAX_HELD_CLIPS", 2)
    folder = tmp_path / "copies"
    folder.mkdir()
    copies = [write_copy(path, folder, HARSH) for path in scenes]
    assert pairs(*scenes, *copies) == [(0, 3), (1, 4), (2, 5)]


def test_a_file_that_vanishes_between_the_looks_is_no_copy(scenes: list[Path], tmp_path: Path) -> None:
    clips = [LabelledClip(path, "any", None) for path in (scenes[0], scenes[0])]
    fingerprints = [each.fingerprint for each in scan(clips)]
    assert find_near_duplicates([scenes[0], tmp_path / "gone.mp4"], fingerprints, num_threads=2) == []
