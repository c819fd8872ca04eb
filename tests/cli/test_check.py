"""`videoclf check` as a user meets it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from tests.cli.test_commands import run
from tests.data_check.copies import draw_scene, write_frames

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "check.schema.json").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in three groups, nothing wrong with them."""
    folder = tmp_path_factory.mktemp("data")
    for number, (label, group) in enumerate((label, group) for label in ("run", "walk") for group in (1, 2, 3)):
        (folder / label).mkdir(exist_ok=True)
        path = folder / label / f"v_{label}_g{group:02}_c01.mp4"
        write_frames(path, draw_scene(number, num_frames=40), options={"crf": "20", "preset": "veryfast"})
    return folder


@pytest.fixture
def leaking(data: Path, tmp_path: Path) -> Path:
    """The same with a copy in another group and a clip that is none."""
    shutil.copytree(data, tmp_path / "leaking")
    shutil.copy(data / "run/v_run_g01_c01.mp4", tmp_path / "leaking/run/v_run_g03_c02.mp4")
    (tmp_path / "leaking/walk/v_\x1b[2J_g02_c02.mp4").write_text("no video")
    return tmp_path / "leaking"


def test_a_clean_folder_has_exit_code_0(data: Path) -> None:
    code, out, err = run("check", data, "--split", "leave-out:g03")
    assert code == 0
    assert "6 of 6 clips usable · 0 repaired · 0 exact duplicates · 0 near-duplicates · 0 leaks of leave-out:g03" in out
    assert "size: 128×96 (6)" in out
    assert "fewer than 5 usable clips" in err


def test_what_is_unusable_or_leaks_has_exit_code_1_and_a_line(leaking: Path) -> None:
    code, out, err = run("check", leaking, "--split", "leave-out:g03")
    assert code == 1
    assert "7 of 8 clips usable" in out
    assert "exact duplicate: " in err
    assert "v_run_g03_c02.mp4 (test)" in err
    assert r"v_\x1b[2J_g02_c02.mp4: its content is text" in err
    assert "\x1b[2J" not in out + err


def test_one_object_of_json_fits_the_schema(leaking: Path) -> None:
    code, out, _ = run("check", leaking, "--split", "leave-out:g03", "--json")
    assert code == 1
    assert out.count("\n") == 1
    jsonschema.validate(json.loads(out), SCHEMA)


def test_a_folder_for_the_page_is_made(leaking: Path, tmp_path: Path) -> None:
    code, out, _ = run("check", leaking, "--out", tmp_path / "new" / "folder")
    assert code == 1
    assert f"report: {tmp_path / 'new' / 'folder' / 'check.html'}" in out.replace("\n", "")
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == {"check.html", "check.json"}


def test_near_duplicates_may_be_left_out(data: Path) -> None:
    code, out, _ = run("check", data, "--no-near-duplicates")
    assert code == 0
    assert "unchecked near-duplicates" in out


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("gone",), 1, "gone: no such folder or list"),
        ((".", "--split", "some"), 1, "contains no CLASS/clip"),
        ((".", "--group-regex", "("), 2, "is not a regular expression"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, _, err = run("check", *arguments)
    assert found == code
    assert complaint in err
    assert err.count("\n") == 1


def test_ctrl_c_ends_it_at_once(data: Path, tmp_path: Path) -> None:
    many = tmp_path / "list.csv"
    links = [tmp_path / f"{number}.mp4" for number in range(2000)]
    for link in links:
        link.symlink_to(data / "run/v_run_g01_c01.mp4")
    many.write_text("".join(f"{link},run\n" for link in links))
    process = subprocess.Popen([sys.executable, "-m", "videoclf", "check", many], stderr=subprocess.PIPE, text=True)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 130
    assert err == "error: interrupted; finished work is kept\n"
