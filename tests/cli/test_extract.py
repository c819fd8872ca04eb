"""Features kept between commands: `extract`, and what `train` and `info` say of the cache."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import VIDEOCLF, run
from tests.conftest import write_clip
from videoclf.media.video import Video

FROZEN = ("--recipe", "tiny", "--set", "backbone.frozen=true", "--device", "cpu")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes in four groups."""
    folder = tmp_path / "data"
    for label, num_frames in (("Long", 20), ("Short", 5)):
        (folder / label).mkdir(parents=True)
        for group in range(1, 5):
            first_number = 64 * group + (512 if label == "Short" else 0)
            write_clip(folder / label / f"v_{label}_g0{group}_c01.mp4", num_frames, first_number=first_number)
    return folder


def test_it_fills_a_cache_once(tmp_path: Path, data: Path) -> None:
    code, out, err = run("extract", data, "--out", tmp_path / "cache", *FROZEN)
    assert (code, err) == (0, "")
    assert out.startswith("8 clips computed (0.1 MB), 0 were already cached\n")
    assert f"{tmp_path / 'cache'}: 8 views of clips, 0." in out
    code, out, _ = run("extract", data, "--out", tmp_path / "cache", *FROZEN)
    assert code == 0
    assert out.startswith("nothing to do: 8 of 8 clips were already cached\n")


def test_training_is_served_from_there(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("extract", data, "--out", tmp_path / "cache", *FROZEN)
    opened: list[str] = []

    class CountedVideo(Video):
        def __init__(self, path: Path, *arguments: Any, **options: Any) -> None:
            opened.append(path.name)
            super().__init__(path, *arguments, **options)

    monkeypatch.setattr("videoclf.media.reader.Video", CountedVideo)
    epochs = ("--set", "training.epochs=2", "--set", "training.seed=0", "--split", "leave-out:g04", "--allow-leaks")
    cache = ("--cache", tmp_path / "cache")
    code, _, err = run("train", data, "--out", tmp_path / "run", *cache, *FROZEN, *epochs)
    assert code == 0, err
    assert f"note: features: 6 of 6 clips from the cache {tmp_path / 'cache'}\n" in err
    num_looked_for_leaks, num_evaluated, num_pictured = 8, 2, 2
    assert len(opened) == num_looked_for_leaks + num_evaluated + num_pictured


def test_the_default_folder_is_the_same_for_all_commands(data: Path, feature_cache_folder: Path) -> None:
    code, out, err = run("extract", data, *FROZEN)
    assert code == 0, err
    assert f"{feature_cache_folder}: 8 views of clips" in out
    facts = json.loads(run("info", "--json")[1])["cache"]
    assert (facts["folder"], facts["num_views"]) == (str(feature_cache_folder), 8)


def test_without_a_cache_nothing_outlives_the_run(tmp_path: Path, data: Path, feature_cache_folder: Path) -> None:
    out = tmp_path / "run"
    code, _, err = run("train", data, "--out", out, "--no-cache", *FROZEN, "--set", "training.epochs=1")
    assert code == 0, err
    assert "clips computed, kept for this run only" in err
    assert not feature_cache_folder.exists()
    assert not [path for path in out.iterdir() if "feature" in path.name]
    assert run("train", data, "--out", out, "--no-cache", "--cache", "x")[0] == 2


def test_a_cache_that_cannot_be_written_does_not_end_a_training(tmp_path: Path, data: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ("--out", tmp_path / "run", "--cache", tmp_path / "file", "--set", "training.epochs=1")
    code, _, err = run("train", data, *arguments, *FROZEN)
    assert code == 0, err
    assert f"note: {tmp_path / 'file'}: features cannot be stored there" in err


def test_a_cache_that_cannot_be_written_ends_an_extraction(tmp_path: Path, data: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = run("extract", data, "--out", tmp_path / "file", *FROZEN)
    assert code == 1
    assert err.startswith(f"error: {tmp_path / 'file'}: features cannot be stored there")
    assert err.count("\n") == 1


def test_clips_that_cannot_be_read_are_named_and_counted(tmp_path: Path, data: Path) -> None:
    (data / "Long" / "broken.avi").write_bytes(b"RIFF....AVI broken")
    for num_computed in (8, 0):
        code, out, err = run("extract", data, "--out", tmp_path / "cache", *FROZEN)
        assert code == 1
        assert out.startswith(f"{num_computed} clips computed")
        assert "broken.avi: " in err
        assert "error: 1 of 9 clips could not be read; they are named above" in err


def test_a_backbone_that_is_trained_is_refused(tmp_path: Path, data: Path) -> None:
    code, _, err = run("extract", data, "--recipe", "tiny", "--out", tmp_path / "cache")
    assert code == 2
    assert "backbone.frozen = false: tiny is trained here" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_what_was_done_before_an_interruption_stays(tmp_path: Path, data: Path) -> None:
    content = (data / "Long" / "v_Long_g01_c01.mp4").read_bytes()
    for number in range(200):
        (data / "Short" / f"{number}.mp4").write_bytes(content + bytes([number]))  # each with features of its own
    cache = tmp_path / "cache"
    process = subprocess.Popen([*VIDEOCLF, "extract", str(data), "--out", str(cache), *FROZEN], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(cache.rglob("*.safetensors"))) < 3:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    num_kept = len(list(cache.rglob("*.safetensors")))
    assert 3 <= num_kept < 208
    code, out, _ = run("extract", data, "--out", cache, *FROZEN)
    assert code == 0
    assert out.startswith(f"{208 - num_kept} clips computed")
    assert f"{num_kept} were already" in out


def test_it_imports_no_fabric() -> None:
    program = "import sys, videoclf.training.extract; sys.exit('lightning_fabric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_file_of_the_cache_that_was_damaged_is_computed_anew_and_told(tmp_path: Path, data: Path) -> None:
    run("extract", data, "--out", tmp_path / "cache", *FROZEN)
    path = min((tmp_path / "cache").rglob("*.safetensors"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, out, err = run("extract", data, "--out", tmp_path / "cache", *FROZEN)
    assert (code, err) == (0, f"note: 1 damaged files in {tmp_path / 'cache'} were computed again\n")
    assert out.startswith("1 clips computed (0.0 MB), 7 were already cached\n")
    assert path.read_bytes() == whole
