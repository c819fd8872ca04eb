from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from videoclf.errors import RecipeInvalidError
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.backbones.stages import backbone_stages
from videoclf.modeling.classifier import build_backbone, build_classifier
from videoclf.modeling.padding import pad_sequences
from videoclf.recipe.recipe import Recipe

NUM_STAGES = {
    "tiny": 4, "resnet18": 5, "wide_resnet50_2": 5, "mobilenet_v2": 19, "mobilenet_v3_small": 13, "efficientnet_b0": 9,
    "convnext_tiny": 8, "regnet_y_400mf": 5, "r3d_18": 5, "mc3_18": 5, "r2plus1d_18": 5, "s3d": 12, "inflated:tiny": 4,
    "inflated:resnet18": 5, "inflated:mobilenet_v2": 19, "inflated:convnext_tiny": 8,
}  # fmt: skip


def recipe(name: str, **backbone: Any) -> Recipe:
    return Recipe.model_validate({"backbone": {"name": name, **backbone}})


def names_of(backbone: Backbone, part: nn.Module) -> set[str]:
    mine = {id(parameter) for parameter in part.parameters()}
    return {name for name, parameter in backbone.named_parameters() if id(parameter) in mine}


@pytest.mark.parametrize("name", NUM_STAGES)
def test_stages_hold_every_weight_once_in_order(name: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(recipe(name))
    stages = [names_of(backbone, stage) for stage in backbone_stages(backbone)]
    every = [name for name, _ in backbone.named_parameters()]
    assert len(stages) == NUM_STAGES[name]
    assert all(stages)
    assert sorted(name for stage in stages for name in stage) == sorted(every)
    assert every[0] in stages[0]
    assert every[-1] in stages[-1]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mc3_18", "inflated:tiny"])
def test_only_the_uppermost_stages_are_trained_and_the_rest_does_not_move(name: str) -> None:
    model = build_classifier(recipe(name, trainable_stages=1), 3)
    assert isinstance(model.backbone, Backbone)
    top = names_of(model.backbone, backbone_stages(model.backbone)[-1])
    assert {name for name, p in model.backbone.named_parameters() if p.requires_grad} == top
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    clips, num_frames = pad_sequences([torch.randn(3, 3, 32, 32), torch.randn(4, 3, 32, 32)])
    for batch in ((clips, num_frames), (clips[:1, :1], num_frames[:1] * 0 + 1), (clips, num_frames)):
        model.train()(*batch).sum().backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    after = model.backbone.state_dict()
    prefixes = {name.rpartition(".")[0] for name in top}
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.rpartition(".")[0] for name in moved} == prefixes  # weights, and statistics of batch norms


def test_more_stages_than_there_are_is_refused() -> None:
    with pytest.raises(
        RecipeInvalidError, match=r"trainable_stages = 6: the network has 5 stages; use a smaller number"
    ):
        build_classifier(recipe("resnet18", trainable_stages=6), 3)


def test_all_stages_is_the_same_as_none_named() -> None:
    model = build_classifier(recipe("tiny", trainable_stages=4), 3).train()
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())
