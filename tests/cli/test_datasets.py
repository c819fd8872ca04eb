"""``videoclf datasets`` as a user meets it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.test_commands import run
from videoclf.data.manifest import load_manifest, manifest_names


def test_all_are_listed_with_their_sizes_and_where_to_get_them() -> None:
    code, out, err = run("datasets")
    assert (code, err) == (0, "")
    assert "│ hmdb51      │ HMDB51       │      51 │   6,766 │ official:1, " in out
    assert "https://www.crcv.ucf.edu/data/UCF101.php\n" in out


def test_json_is_one_object_a_line() -> None:
    code, out, _ = run("datasets", "--json")
    assert code == 0
    assert [json.loads(line)["name"] for line in out.splitlines()] == manifest_names()


@pytest.mark.parametrize("name", manifest_names())
def test_json_of_one_is_its_whole_manifest(name: str) -> None:
    (line,) = run("datasets", name, "--json")[1].splitlines()
    assert json.loads(line) == load_manifest(name).model_dump(mode="json")


@pytest.mark.parametrize("name", manifest_names())
def test_one_is_told_from_getting_it_to_training_on_it(name: str) -> None:
    code, out, err = run("datasets", name)
    manifest = load_manifest(name)
    told = (manifest.title, manifest.url, manifest.how_to_get, manifest.naming.example, manifest.naming.pattern)
    assert (code, err) == (0, "")
    assert [text for text in (*told, *manifest.layout, *manifest.commands) if text not in out] == []
    assert [split.name for split in manifest.splits if f"{split.num_train:,} train" not in out] == []


@pytest.mark.parametrize("command", [command for name in manifest_names() for command in load_manifest(name).commands])
def test_the_commands_that_are_told_lack_nothing_but_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(command)
    code, _, err = run(*arguments)
    assert (program, code) == ("videoclf", 1)
    assert "no such folder or list of path,label" in err or "no model 'runs/" in err


def test_an_unknown_name_is_one_line_and_exit_code_1() -> None:
    code, out, err = run("datasets", "ucf11")
    assert (code, out) == (1, "")
    assert err == "error: there is no dataset 'ucf11'; available: hmdb51, kinetics400, ucf101\n"
