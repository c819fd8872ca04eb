"""Whole checks, their JSON and their page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from tests.data_check.copies import KINDS, draw_scene, write_copy, write_frames
from videoclf.data.dataset import load_dataset
from videoclf.data.splits import Split, make_split
from videoclf.data_check.check import Check, check
from videoclf.data_check.findings import CheckReport
from videoclf.data_check.leak_search import find_leaks
from videoclf.data_check.report import MAX_SHOWN, render, write_check
from videoclf.errors import DatasetInvalidError

SCHEMA_PATH = Path(__file__).parents[2] / "docs" / "check.schema.json"


def write(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_frames(path, draw_scene(seed, num_frames=40), options={"crf": "20", "preset": "veryfast"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in three groups; an exact and a mirrored copy in another group, a broken clip, a hostile name."""
    folder = tmp_path_factory.mktemp("data")
    for number, (label, group) in enumerate((label, group) for label in ("run", "walk") for group in (1, 2, 3)):
        write(folder / label / f"v_{label}_g{group:02}_c01.mp4", number)
    shutil.copy(folder / "run/v_run_g01_c01.mp4", folder / "walk/v_walk_g03_c09.mp4")
    (folder / "copies").mkdir()
    copy = write_copy(folder / "run/v_run_g02_c01.mp4", folder / "copies", KINDS["mirrored"])
    copy.rename(folder / "run/v_run_g03_c08.mkv")
    (folder / "copies").rmdir()
    (folder / "walk/v_walk_g01_c02.avi").write_bytes(b"RIFF....AVI broken")
    write(folder / "walk/v_\x1b[31m<b>_g02_c02.mp4", 7)
    return folder


@pytest.fixture(scope="module")
def found(data: Path) -> Check:
    return check(data, split="leave-out:g03", workers=2)


def test_it_counts_what_can_be_used(found: Check) -> None:
    assert (found.report.num_clips, found.report.num_usable, found.report.is_clean) == (10, 9, False)
    assert [Path(clip.path).name for clip in found.report.unusable] == ["v_walk_g01_c02.avi"]
    assert found.report.unusable[0].type == "DecodeFailed"


def test_it_names_exact_duplicates_and_that_their_classes_differ(found: Check) -> None:
    (same,) = found.report.exact_duplicates
    assert [Path(path).name for path in same.paths] == ["v_run_g01_c01.mp4", "v_walk_g03_c09.mp4"]
    assert same.labels == ("run", "walk")


def test_it_names_near_duplicates_but_not_the_exact_ones_again(found: Check) -> None:
    (pair,) = found.report.near_duplicates
    assert [Path(pair.first).name, Path(pair.second).name] == ["v_run_g02_c01.mp4", "v_run_g03_c08.mkv"]
    assert pair.is_mirrored


def test_it_reports_leaks(found: Check) -> None:
    assert {leak.kind for leak in found.report.leaks} == {"exact duplicate", "near-duplicate"}
    assert all("test" in {leak.first_part, leak.second_part} for leak in found.report.leaks)


def test_its_json_fits_the_published_schema(found: Check) -> None:
    schema = json.loads(SCHEMA_PATH.read_text())
    assert schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What `videoclf check --json` prints",
        **{k: v for k, v in CheckReport.model_json_schema(mode="serialization").items() if k != "title"},
    }
    line = found.report.to_json_line()
    assert "\n" not in line
    jsonschema.validate(json.loads(line), schema)


def test_its_page_needs_nothing_else_and_obeys_no_name(found: Check, tmp_path: Path) -> None:
    write_check(tmp_path / "out", found)
    html = (tmp_path / "out" / "check.html").read_text()
    assert html.count("<img") == html.count('src="data:image/jpeg;base64,') == html.count('alt="A frame of ')
    assert html.count("<img") > 0
    assert "<script" not in html
    assert "<b>_g02" not in html
    assert json.loads((tmp_path / "out" / "check.json").read_text())["format_version"] == 1


def test_its_page_stays_small(found: Check) -> None:
    many = found.report.model_copy(update={"odd": found.report.leaks[:0], "leaks": found.report.leaks * 5000})
    html = render(Check(many, found.thumbnails))
    assert f"The first {MAX_SHOWN} of 10,000" in html
    assert len(html) < 3_000_000


def test_near_duplicates_that_were_not_checked_are_not_reported(data: Path) -> None:
    found = check(data, finds_near_duplicates=False, workers=2)
    assert not found.report.has_near_duplicates_checked
    assert found.report.near_duplicates == ()
    assert len(found.report.exact_duplicates) == 1
    assert found.report.split is None
    assert "Near-duplicates were not checked." in render(found)


def test_copies_on_one_side_are_no_leak(data: Path) -> None:
    dataset = load_dataset(data)
    clips = {clip.path.name: clip for clip in dataset.clips}
    side = [
        clips[name] for name in ("v_run_g01_c01.mp4", "v_walk_g03_c09.mp4", "v_run_g02_c01.mp4", "v_run_g03_c08.mkv")
    ]
    split = Split("own", tuple(side), (clips["v_walk_g01_c01.mp4"],), (clips["v_walk_g02_c01.mp4"],))
    (leaks,) = find_leaks([split], workers=2).by_split
    assert {leak.kind for leak in leaks} == {"group"}


def test_beyond_a_number_of_clips_near_duplicates_are_not_checked(data: Path) -> None:
    parts = make_split(load_dataset(data), "leave-out:g03")
    found = find_leaks([parts], workers=2, max_clips=5)
    assert [leak.kind for leak in found.by_split[0]] == ["exact duplicate"]
    assert not found.has_near_duplicates_checked


def test_a_file_that_is_listed_and_missing_is_unusable(data: Path, tmp_path: Path) -> None:
    clip = data / "run/v_run_g01_c01.mp4"
    (tmp_path / "list.csv").write_text(f"{clip},run\n{tmp_path / 'gone.mp4'},run\n")
    report = check(tmp_path / "list.csv", workers=2).report
    assert [clip.type for clip in report.unusable] == ["SourceMissing"]
    assert any("only one class, 'run'" in note for note in report.notes)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetInvalidError, match="contains no CLASS/clip"):
        check(tmp_path)


def test_where_every_clip_is_broken_there_is_still_a_report(tmp_path: Path) -> None:
    for label in ("run", "walk"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.mp4").write_bytes(np.random.default_rng(0).bytes(100))
    found = check(tmp_path, workers=2)
    assert (found.report.num_usable, found.report.is_clean) == (0, False)
    assert "Unusable" in render(found)


def test_classes_that_training_would_refuse_to_name_are_noted(data: Path, tmp_path: Path) -> None:
    clip = data / "run/v_run_g01_c01.mp4"
    (tmp_path / "list.csv").write_text(f"{clip},a\x1b[31m\n{data / 'walk/v_walk_g01_c01.mp4'},b\n")
    (note, *_) = check(tmp_path / "list.csv", finds_near_duplicates=False, workers=2).report.notes
    assert note == r"class names with characters that cannot be printed, which train refuses: 'a\x1b[31m'; rename them"


def test_a_set_with_a_test_part_only_is_checked_without_a_split(data: Path, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/test").symlink_to(data)
    assert check(tmp_path / "parts", finds_near_duplicates=False, workers=2).report.split is None
