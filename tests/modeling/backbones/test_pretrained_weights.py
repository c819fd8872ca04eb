"""Pretrained weights by name: files, hubs, inflation."""

from __future__ import annotations

import importlib.util
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from tests.conftest import PlantWeights
from videoclf.errors import RecipeInvalidError, WeightsUnavailableError
from videoclf.modeling.backbones.pretrained_weights import load_pretrained
from videoclf.modeling.checkpoint import load_model, save_model
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.backbone import Backbone
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe


def pretrained(backbone: str, weights: str | Path) -> VideoClassifier:
    recipe = Recipe.model_validate({"backbone": {"name": backbone}})
    classifier = build_classifier(recipe, 2)
    load_pretrained(classifier.backbone, Backbone.model_validate({"name": backbone, "weights": str(weights)}))
    return classifier


def test_torchvisions_own_names_fit(tmp_path: Path) -> None:
    for name in ("mobilenet_v2", "resnet18"):
        network = getattr(torchvision.models, name)()
        save_file(network.state_dict(), tmp_path / f"{name}.safetensors")
        given = next(iter(network.state_dict().values()))
        loaded = next(iter(pretrained(name, tmp_path / f"{name}.safetensors").backbone.state_dict().values()))
        assert torch.equal(given, loaded)


def test_a_part_of_torchvisions_model_fits(shared_data: Path) -> None:
    path = shared_data.parent / "weights" / "mobilenet_v2-imagenet-features.safetensors"
    loaded = pretrained("mobilenet_v2", path).backbone.state_dict()["network.0.0.0.weight"]
    assert torch.equal(loaded, load_file(path)["0.0.weight"])


def test_a_model_file_lends_its_backbone(tiny_model: Path) -> None:
    theirs = load_model(tiny_model)[0].backbone.state_dict()
    mine = pretrained("tiny", tiny_model).backbone.state_dict()
    assert all(torch.equal(theirs[name], mine[name]) for name in theirs)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(torchvision.models.resnet18().state_dict(), tmp_path / "r.safetensors")
    with pytest.raises(
        WeightsUnavailableError, match=r"does not contain the weights of resnet50 \(.* is .* instead of .*\)"
    ):
        pretrained("resnet50", tmp_path / "r.safetensors")
    with pytest.raises(
        WeightsUnavailableError, match=r"does not contain the weights of mobilenet_v2 \(.* is missing\)"
    ):
        pretrained("mobilenet_v2", tmp_path / "r.safetensors")


@pytest.mark.parametrize("backbone", ["resnet18", "inflated:resnet18"])
@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float64, torch.complex64])
def test_weights_of_a_kind_of_numbers_that_is_not_listed_are_refused(
    tmp_path: Path, backbone: str, dtype: torch.dtype
) -> None:
    weights = torchvision.models.resnet18().state_dict()
    weights["conv1.weight"] = weights["conv1.weight"].to(dtype)
    save_file(weights, tmp_path / "r.safetensors")
    kind = str(dtype).removeprefix("torch.")
    with pytest.raises(
        WeightsUnavailableError,
        match=rf"weights of {backbone} \(\S+ is {kind}; allowed there: float32, float16, bfloat16\); use another",
    ):
        pretrained(backbone, tmp_path / "r.safetensors")


def test_a_file_with_two_tensors_for_one_place_is_refused(tmp_path: Path) -> None:
    weights = torchvision.models.resnet18().state_dict()
    weights["backbone.conv1.weight"] = weights["conv1.weight"] + 1
    save_file(weights, tmp_path / "r.safetensors")
    with pytest.raises(WeightsUnavailableError) as caught:
        pretrained("resnet18", tmp_path / "r.safetensors")
    assert str(caught.value) == (
        f"{tmp_path / 'r.safetensors'}: has two tensors for conv1.weight of resnet18, 'backbone.conv1.weight' and "
        "'conv1.weight'; remove the wrong ones, or use another file"
    )


@pytest.mark.parametrize("backbone", ["resnet18", "inflated:resnet18"])
def test_weights_of_a_deeper_network_are_refused(tmp_path: Path, backbone: str) -> None:
    """ResNet-34 has all the names and shapes of ResNet-18."""
    save_file(torchvision.models.resnet34().state_dict(), tmp_path / "r.safetensors")
    complaint = rf"the weights of {backbone} \('layer1\.2\.\S+' is not part of it\); use another file"
    with pytest.raises(WeightsUnavailableError, match=complaint):
        pretrained(backbone, tmp_path / "r.safetensors")


def test_a_missing_weights_file_says_what_is_allowed() -> None:
    with pytest.raises(
        WeightsUnavailableError, match="'imagnet': no such file; allowed are none, imagenet, kinetics400, a shipped"
    ):
        pretrained("resnet18", "imagnet")


def test_an_unreachable_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(
        WeightsUnavailableError, match="cannot be downloaded .*Name or service not known.*backbone.weights="
    ):
        pretrained("resnet18", "imagenet")


def test_2d_weights_start_the_inflated_network(tmp_path: Path) -> None:
    network = torchvision.models.resnet18()
    save_file(network.state_dict(), tmp_path / "r.safetensors")
    solid = pretrained("inflated:resnet18", tmp_path / "r.safetensors").backbone.state_dict()["network.conv1.weight"]
    assert solid.shape == (64, 3, 3, 7, 7)
    torch.testing.assert_close(solid.sum(dim=2), network.conv1.weight.detach())


def test_the_default_models_backbone_starts_an_inflated_one() -> None:
    flat = pretrained("mobilenet_v2", "actions16").backbone.state_dict()["network.0.0.0.weight"]
    solid = pretrained("inflated:mobilenet_v2", "actions16").backbone.state_dict()["network.0.0.0.weight"]
    torch.testing.assert_close(solid.sum(dim=2), flat)


def test_a_norm_before_torchvisions_classifier_is_filled_too(tmp_path: Path) -> None:
    network: Any = torchvision.models.convnext_tiny()
    network.classifier[0].weight.data.fill_(3)
    save_file(network.state_dict(), tmp_path / "c.safetensors")
    for name in ("convnext_tiny", "inflated:convnext_tiny"):
        backbone = pretrained(name, tmp_path / "c.safetensors").backbone.state_dict()
        assert next(t for key, t in backbone.items() if key.endswith("classifier.0.weight")).eq(3).all()


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18", "s3d"])
def test_kinetics400_weights_start_a_3d_backbone(name: str, plant_weights: PlantWeights) -> None:
    theirs = plant_weights(name)
    mine = pretrained(name, "kinetics400").backbone.state_dict()
    assert all(torch.equal(tensor, theirs[key.removeprefix("network.")]) for key, tensor in mine.items())


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="needs timm: pip install 'videoclf[timm]'")
class TestTimm:
    def test_a_network_of_timms_is_a_backbone(self, tmp_path: Path) -> None:
        recipe = Recipe.model_validate({"backbone": {"name": "timm:mobilenetv3_small_050"}})
        classifier = build_classifier(recipe, 2).eval()
        save_model(tmp_path / "m", classifier, ModelHeader(name="x", recipe=recipe, labels=("a", "b")))
        loaded, _ = load_model(tmp_path / "m")
        clips, num_frames = torch.randn(1, 3, 3, 64, 64), torch.tensor([3])
        with torch.inference_mode():
            assert torch.equal(loaded(clips, num_frames), classifier(clips, num_frames))

    def test_tables_that_no_file_keeps_are_computed_again(self, tmp_path: Path) -> None:
        recipe = Recipe.model_validate({"backbone": {"name": "timm:swin_tiny_patch4_window7_224"}})
        classifier = build_classifier(recipe, 2).eval()
        save_model(tmp_path / "m", classifier, ModelHeader(name="x", recipe=recipe, labels=("a", "b")))
        loaded, _ = load_model(tmp_path / "m")
        theirs = dict(classifier.named_buffers())
        assert theirs
        assert all(torch.equal(buffer, theirs[name]) for name, buffer in loaded.named_buffers())

    def test_an_unknown_network_is_told_its_like(self) -> None:
        recipe = Recipe.model_validate({"backbone": {"name": "timm:resnet51"}})
        with pytest.raises(RecipeInvalidError, match="timm:resnet51': timm .* has no such network"):
            build_classifier(recipe, 2)

    def test_an_unreachable_hub_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise FileNotFoundError("An error happened while trying to locate the file on the Hub")

        classifier = build_classifier(Recipe.model_validate({"backbone": {"name": "timm:resnet18"}}), 2)
        monkeypatch.setattr("timm.create_model", refuse)
        with pytest.raises(WeightsUnavailableError, match="timm:resnet18: its weights cannot be downloaded"):
            load_pretrained(classifier.backbone, Backbone(name="timm:resnet18", weights="imagenet"))


def test_timm_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    recipe = Recipe.model_validate({"backbone": {"name": "timm:resnet18"}})
    with pytest.raises(RecipeInvalidError, match=r"timm:resnet18': needs timm .*pip install 'videoclf\[timm\]'"):
        build_classifier(recipe, 2)
