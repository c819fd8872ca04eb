"""``videoclf train`` from the outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_commands import run
from tests.conftest import write_clip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command, done."""
    folder = tmp_path_factory.mktemp("train")
    for row, (label, num_frames) in enumerate((("Long", 20), ("Short", 5))):
        (folder / "data" / label).mkdir(parents=True)
        for group in range(1, 5):
            path = folder / "data" / label / f"v_{label}_g0{group}_c01.mp4"
            write_clip(path, num_frames, first_number=64 * group + 512 * row)
    recipe = ("--recipe", "tiny", "--set", "training.epochs=1")
    command = ("train", str(folder / "data"), "--out", str(folder / "run"), *recipe)
    code, _, err = run(*command)
    assert code == 0, err
    return command


def test_the_same_command_resumed_says_that_nothing_is_left_to_do(finished: tuple[str, ...]) -> None:
    code, out, err = run(*finished, "--resume")
    assert (code, err) == (0, f"note: {finished[3]}: the run is finished; nothing is left to do\n")
    assert f"model: {Path(finished[3], 'model.safetensors')}" in out


def test_another_setting_is_not_dropped_without_a_word(finished: tuple[str, ...]) -> None:
    code, out, err = run(*finished, "--resume", "--set", "training.epochs=2")
    assert (code, out) == (1, "")
    assert err == (
        f"error: {finished[3]}: the run is finished, but with another recipe than the one requested now "
        "(training.epochs is 1, not 2); choose another --out, or replace the run with --overwrite\n"
    )


@pytest.mark.filterwarnings("ignore")  # TensorBoard's own
def test_curves_that_cannot_be_drawn_any_more_are_missed(finished: tuple[str, ...]) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    code, _, err = run(*finished, "--resume", "--tensorboard")
    assert code == 0
    assert err.endswith("note: --tensorboard: no epoch was trained, and the run has no earlier curves\n")


def test_to_go_on_and_to_replace_exclude_each_other(finished: tuple[str, ...]) -> None:
    code, out, err = run(*finished, "--resume", "--overwrite")
    assert (code, out) == (2, "")
    assert err == "error: --resume and --overwrite exclude each other; use only one of them\n"
