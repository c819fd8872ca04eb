from __future__ import annotations

import pytest

from videoclf.modeling.classifier import build_classifier
from videoclf.recipe.recipe import Recipe
from videoclf.training.loop.parameter_groups import parameter_groups


def rates(name: str, **training: float) -> tuple[list[float], int, int]:
    recipe = Recipe.model_validate({"backbone": {"name": name}, "training": training})
    classifier = build_classifier(recipe, 3)
    groups = parameter_groups(classifier, recipe.training)
    held = [parameter for group in groups for parameter in group["params"]]  # type: ignore[attr-defined]
    distinct = dict.fromkeys(float(str(group["lr"])) for group in groups)
    return list(distinct), len({id(parameter) for parameter in held}), len(list(classifier.parameters()))


def test_by_default_all_learn_at_one_rate() -> None:
    assert rates("tiny", learning_rate=1e-2)[0] == [1e-2]
    assert rates("tiny", learning_rate=1e-2, backbone_learning_rate=1e-3)[0] == [1e-3, 1e-2]


@pytest.mark.parametrize("name", ["tiny", "inflated:tiny"])
def test_each_stage_learns_slower_than_the_one_above(name: str) -> None:
    found, num_held, num_parameters = rates(name, learning_rate=1.0, backbone_learning_rate=0.1, layer_decay=0.5)
    assert found == pytest.approx([0.1, 0.05, 0.025, 0.0125, 1.0])
    assert num_held == num_parameters
