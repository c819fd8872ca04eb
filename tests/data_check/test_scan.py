from __future__ import annotations

from pathlib import Path

from tests.conftest import write_clip
from videoclf.data.dataset import LabelledClip
from videoclf.data_check.scan import ScannedClip, scan


def look_at(*paths: Path, with_fingerprints: bool = True) -> list[ScannedClip]:
    return scan([LabelledClip(path, "any", None) for path in paths], with_fingerprints=with_fingerprints)


def test_a_clip_is_decoded_to_its_end(tmp_path: Path) -> None:
    (whole,) = look_at(write_clip(tmp_path / "a.avi", 50, fps=25))
    assert whole.num_samples == 30
    assert whole.is_usable
    assert whole.warnings == ()
    assert whole.thumbnail.startswith(b"\xff\xd8")


def test_a_clip_that_is_cut_short_has_a_warning(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", 50)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (cut,) = look_at(path)
    assert cut.is_usable
    assert any("cut short" in warning for warning in cut.warnings)


def test_what_is_no_video_has_a_failure_and_its_place(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    found = look_at(tmp_path / "text.mp4", write_clip(tmp_path / "a.avi", 5), tmp_path / "gone.mp4")
    assert [each.is_usable for each in found] == [False, True, False]
    assert [each.size_bytes > 0 for each in found] == [True, True, False]
    assert found[0].thumbnail == b""
    assert found[0].fingerprint is None


def test_signatures_are_made_where_wanted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", 50)
    assert look_at(path)[0].fingerprint is not None
    assert look_at(path, with_fingerprints=False)[0].fingerprint is None


def test_a_long_clip_is_signed_by_its_beginning(tmp_path: Path) -> None:
    (long,) = look_at(write_clip(tmp_path / "a.avi", 400, fps=10))
    assert long.num_samples == 600
    assert long.fingerprint is not None
    assert len(long.fingerprint.change) == 148
