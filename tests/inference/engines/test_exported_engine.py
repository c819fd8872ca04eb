"""What a graph gives is believed only where it has the shape it must have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from videoclf.errors import ModelFileInvalidError
from videoclf.inference.engines.exported_engine import ExportedEngine, ExportedFile, Part
from videoclf.inference.engines.protocol import Float32Array
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe

WINDOW = np.zeros((6, 3, 8, 8), np.float32)


class FakeGraph:
    def __init__(self, **parts: Callable[[Float32Array], object]) -> None:
        self._parts = parts

    def part(self, start: str, end: str, *, num_rows: int | None = None) -> Part:
        return self._parts.get(end, lambda array: array)


def engine(**parts: Callable[[Float32Array], object]) -> ExportedEngine:
    recipe = Recipe.model_validate({"backbone": {"name": "tiny"}})
    header = ModelHeader(name="m", recipe=recipe, labels=("a", "b"))
    return ExportedEngine(ExportedFile(FakeGraph(**parts), header, frozenset()))


def mean_twice(features: Float32Array) -> Float32Array:
    return np.repeat(features.mean(dtype=np.float32), 2)


def test_features_of_fewer_pictures_than_were_given_are_refused() -> None:
    assert engine(logits=mean_twice).logits([WINDOW, WINDOW]).shape == (2, 2)
    with pytest.raises(ModelFileInvalidError) as caught:
        engine(features=lambda items: items[1:], logits=mean_twice).logits([WINDOW])
    assert str(caught.value) == (
        "model m: its graph returns features of shape (3, 3, 8, 8) (float32) instead of (4, 3, 8, 8) (float32); export "
        "it again"
    )


@pytest.mark.parametrize(
    ("scores", "found"),
    [(np.zeros(3, np.float32), r"\(3,\) \(float32\)"), (np.zeros(2, np.int64), r"\(2,\) \(int64\)")],
)
def test_scores_that_are_not_one_number_a_label_are_refused(scores: object, found: str) -> None:
    with pytest.raises(ModelFileInvalidError, match=rf"its graph returns scores of shape {found} in place of \(2,\)"):
        engine(logits=lambda _features: scores).logits([WINDOW])
