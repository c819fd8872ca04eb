"""``videoclf crossval`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import run
from tests.conftest import write_clip

SHORT = ("--recipe", "tiny", "--set", "training.epochs=1", "--device", "cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes in three groups."""
    for row, (label, num_frames) in enumerate((("Long", 20), ("Short", 5))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for group in range(1, 4):
            path = tmp_path / "data" / label / f"v_{label}_g0{group}_c01.mp4"
            write_clip(path, num_frames, first_number=64 * group + 512 * row)
    return tmp_path / "data"


def test_it_prints_a_line_a_fold_and_a_table(tmp_path: Path, data: Path) -> None:
    code, out, err = run("crossval", data, "--out", tmp_path / "cv", *SHORT)
    assert code == 0, err
    sizes, shares, *lines = err.splitlines()
    assert sizes == "note: 3 folds: 2 clips to train, 2 to validate, 2 to test"
    assert shares.startswith("note: fold g01: validation is 50% of the clips outside the test part")
    assert shares.endswith("(in 3 of 3 folds)")
    assert [line.split("seed")[0].strip() for line in lines] == [
        "1 of 3  fold g01", "2 of 3  fold g02", "3 of 3  fold g03",
    ]  # fmt: skip
    assert "calibration error" in out
    assert f"report: {tmp_path / 'cv' / 'report.html'}" in out
    assert {path.name for path in (tmp_path / "cv").iterdir()} == {
        "crossval.json", "folds", "metrics.json", "predictions.jsonl", "recipe.toml", "report.html",
    }  # fmt: skip


def test_the_linear_probe_is_printed_beside_a_network_on_frozen_features(tmp_path: Path, data: Path) -> None:
    code, out, err = run("crossval", data, "--out", tmp_path / "cv", *SHORT, "--set", "backbone.frozen=true")
    assert code == 0, err
    assert "\nlinear probe on the same features: " in out


def test_json_is_one_object(tmp_path: Path, data: Path) -> None:
    code, out, _ = run("crossval", data, "--out", tmp_path / "cv", "--json", *SHORT)
    assert code == 0
    assert json.loads(out)["num_folds"] == 3


def test_clips_that_fail_are_counted_and_the_exit_code_says_so(tmp_path: Path, data: Path) -> None:
    (data / "Long" / "v_Long_g02_c09.mp4").write_bytes(b"no video")
    code, _, err = run("crossval", data, "--out", tmp_path / "cv", *SHORT)
    assert code == 1
    assert "v_Long_g02_c09.mp4" in err
    assert err.rstrip().endswith(
        f"a clip could not be read 1 time, and was left out; {tmp_path / 'cv' / 'metrics.json'} lists all of them"
    )


def test_what_cannot_be_is_one_line_and_usage(tmp_path: Path, data: Path) -> None:
    code, _, err = run("crossval", data, "--out", tmp_path / "cv", "--folds", "9", *SHORT)
    assert code == 2
    assert err.splitlines() == [f"error: --folds 9: {data} has 3 groups; use 2 to 3"]
