from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.data.dataset import LabelledClip
from videoclf.data.splits import Split
from videoclf.errors import RunFolderUnusableError
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import parse_recipe
from videoclf.training.run.folder import TENSORBOARD_FOLDER, RunFolder
from videoclf.training.run.folder_lock import LOCK_NAME

RECIPE = Recipe()
PARTS = Split("none", (LabelledClip(Path("a.avi"), "walk", None),), (), ())


def with_keys(*overrides: str) -> Recipe:
    return parse_recipe(RECIPE.model_dump(), list(overrides), source="the recipe")


def test_a_lock_is_no_run(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch()
    assert not RunFolder(tmp_path).has_begun
    RunFolder(tmp_path).refuse_to_replace()


@pytest.mark.parametrize(("is_run", "left"), [(True, []), (False, ["events.out.tfevents.1"])])
def test_curves_go_with_the_run_that_drew_them(tmp_path: Path, is_run: bool, left: list[str]) -> None:
    curves = tmp_path / TENSORBOARD_FOLDER
    curves.mkdir()
    (curves / "events.out.tfevents.1").touch()
    if is_run:
        (tmp_path / "log.csv").touch()
    RunFolder(tmp_path).begin(RECIPE, PARTS, "none")
    assert [path.name for path in curves.iterdir()] == left


def test_a_run_goes_on_by_its_own_recipe_and_says_where_it_differs(tmp_path: Path) -> None:
    folder, notes = RunFolder(tmp_path), list[str]()
    folder.begin(RECIPE, PARTS, "none")
    asked = with_keys("training.epochs=7", "description=another")
    assert folder.recipe(asked, notes.append) == RECIPE
    own = f"{tmp_path / 'recipe.toml'}: the run continues with its own recipe, not with the one requested now"
    assert notes == [f"{own} (training.epochs is {RECIPE.training.epochs}, not 7)"]
    for same in (None, RECIPE, with_keys("description=another")):
        assert folder.recipe(same, pytest.fail) == RECIPE


def test_a_finished_run_refuses_another_recipe_and_names_a_few_keys(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECIPE, PARTS, "none")
    (tmp_path / "report.html").touch()
    asked = with_keys(*(f"training.{key}=7" for key in ("epochs", "patience", "seed", "batch_size", "accumulate")),
                      "sampling.fps=7", "temporal.hidden_size=7")  # fmt: skip
    with pytest.raises(RunFolderUnusableError) as caught:
        folder.recipe(asked, pytest.fail)
    text = str(caught.value)
    assert text.startswith(
        f"{tmp_path}: the run is finished, but with another recipe than the one requested now (sampling.fps is"
    )
    assert text.endswith(", and 2 more); choose another out, or replace the run with overwrite=True")
