from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.recipe.recipe import Recipe
from videoclf.training.start import choose_cache


@pytest.mark.parametrize(("chosen", "is_told"), [("auto", False), (None, False), ("cache", True)])
def test_a_cache_that_is_asked_for_and_of_no_use_is_told(tmp_path: Path, chosen: str | None, is_told: bool) -> None:
    recipe = Recipe()
    trained = recipe.model_copy(update={"backbone": recipe.backbone.model_copy(update={"frozen": False})})
    notices: list[str] = []
    folder = None if chosen is None else chosen if chosen == "auto" else tmp_path / chosen
    assert choose_cache(folder, trained, notices.append) is None
    assert [notice.startswith("--cache: is not used") for notice in notices] == [True] * is_told
