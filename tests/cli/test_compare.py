"""``videoclf compare`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.test_commands import run
from tests.results.test_compare import write_run


def test_it_prints_a_table_and_a_line_a_pair(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", [True, False], "[training]\nepochs = 5\n")
    two = write_run(tmp_path / "two", [True, True], "[training]\nepochs = 9\n")
    code, out, err = run("compare", one, two, "--html", tmp_path / "compare.html")
    assert (code, err) == (0, "")
    assert out.startswith(f"1: {one} (walkers, test of group:0)\n2: {two} (")
    assert "training.epochs" in out
    assert "2 vs. 1 on 2 clips: top-1 +0.500" in out
    assert out.endswith(f"page: {tmp_path / 'compare.html'}\n")
    assert (tmp_path / "compare.html").exists()


def test_json_is_one_object(tmp_path: Path) -> None:
    code, out, _ = run("compare", write_run(tmp_path / "a", [True]), write_run(tmp_path / "b", [False]), "--json")
    assert code == 0
    assert [entry["top1"] for entry in json.loads(out)["runs"]] == [1, 0]


def test_names_are_printed_as_they_are(tmp_path: Path) -> None:
    odd = write_run(tmp_path / "[bold]\x1b[31m", [True])
    _, out, _ = run("compare", odd, write_run(tmp_path / "b", [True]))
    assert "[bold]\\x1b[31m (walkers" in out


def test_what_cannot_be_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    good = write_run(tmp_path / "good", [True])
    code, out, err = run("compare", good)
    assert (code, out) == (2, "")
    assert err == f"error: compare {good}: needs at least two runs; name another folder\n"
    code, out, err = run("compare", good, tmp_path / "gone")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path / 'gone'}: contains no metrics.json; ")
    assert err.count("\n") == 1
    code, _, err = run("compare", good, good, "--html", tmp_path / "nowhere" / "page.html")
    assert (code, err.count("\n")) == (1, 1)
