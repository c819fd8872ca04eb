"""Names of backbones: what they stand for, and what is refused before torch is asked."""

from __future__ import annotations

import pytest
from torchvision import models
from torchvision.models import get_model_weights, list_models, video

from videoclf.errors import RecipeInvalidError
from videoclf.recipe.backbone_names import TORCHVISION_2D, TORCHVISION_3D, backbone_facts
from videoclf.recipe.toml_io import parse_recipe

FAMILIES = ("resnet", "resnext", "wide_resnet", "mobilenet", "efficientnet", "convnext", "regnet")


def test_every_network_of_the_families_is_known() -> None:
    assert sorted(TORCHVISION_2D) == sorted(name for name in list_models(models) if name.startswith(FAMILIES))


def test_the_3d_networks_are_torchvisions() -> None:
    assert set(TORCHVISION_3D) <= set(list_models(video))


@pytest.mark.parametrize("name", TORCHVISION_2D)
def test_imagenet_weights_exist_for_each_2d_network(name: str) -> None:
    assert "ImageNet-1K" in get_model_weights(name).DEFAULT.meta["_metrics"]


@pytest.mark.parametrize("name", TORCHVISION_3D)
def test_kinetics400_weights_exist_for_each_3d_network(name: str) -> None:
    assert len(get_model_weights(name).DEFAULT.meta["categories"]) == 400


@pytest.mark.parametrize(
    ("name", "kind", "network"),
    [
        ("tiny", "2d", "tiny"),
        ("resnet50", "2d", "resnet50"),
        ("timm:mobilenetv3_large_100", "2d", "mobilenetv3_large_100"),
        ("timm:resnet50.a1_in1k", "2d", "resnet50.a1_in1k"),
        ("s3d", "3d", "s3d"),
        ("inflated:mobilenet_v2", "3d", "mobilenet_v2"),
        ("custom", "custom", "custom"),
    ],
)
def test_a_name_tells_its_kind(name: str, kind: str, network: str) -> None:
    facts = backbone_facts(name)
    assert (facts.kind, facts.network) == (kind, network)


@pytest.mark.parametrize(
    "name",
    ["", "resnet51", "inflated:", "inflated:s3d", "inflated:timm:x", "timm:", "timm:hf-hub:me/mine", "timm:../x",
     "timm:local-dir:/tmp", "hf-hub:me/mine", "os.system", "vgg16"],
)  # fmt: skip
def test_other_names_are_refused_with_what_is_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown backbone; allowed are tiny, torchvision's resnet"):
        backbone_facts(name)


@pytest.mark.parametrize(
    ("backbone", "complaint"),
    [
        ({"name": "vgg16"}, "backbone.name = 'vgg16': unknown backbone; allowed are tiny"),
        ({"name": "resnet18", "temporal_stride": 2}, "toml: backbone: temporal_stride = 2: resnet18 allows at most 1"),
        ({"name": "mc3_18", "temporal_stride": 8}, "temporal_stride = 8: mc3_18 allows at most 1"),
        ({"name": "s3d", "temporal_stride": 3}, "backbone.temporal_stride = 3: input should be 1, 2, 4 or 8"),
        ({"name": "resnet18", "weights": "kinetics400"}, "there are none for resnet18, only for r3d_18, mc3_18"),
        ({"name": "s3d", "weights": "imagenet"}, "there are none for s3d; use none, kinetics400 or a file"),
        ({"name": "tiny", "weights": "imagenet"}, "there are none for tiny; use none or a file"),
    ],
)
def test_what_cannot_be_had_is_named(backbone: dict[str, object], complaint: str) -> None:
    with pytest.raises(RecipeInvalidError, match=complaint):
        parse_recipe({"backbone": backbone}, [], source="mine.toml")
