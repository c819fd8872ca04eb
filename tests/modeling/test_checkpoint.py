"""Model files and pretrained weights, good and bad."""

from __future__ import annotations

import json
import struct
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from videoclf.errors import ModelFileInvalid, RunFolderUnusable, WeightsUnavailable
from videoclf.modeling.checkpoint import initialise_from, load_model, load_pretrained, save_model
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.header import METADATA_KEY, ModelHeader, read_header
from videoclf.recipe.recipe import Backbone, Recipe


def with_header(path: Path, source: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a model file whose header was changed."""
    tree = json.loads(read_header(source).to_metadata()[METADATA_KEY])
    change(tree)
    save_file(load_file(source), path, metadata={METADATA_KEY: json.dumps(tree)})
    return path


def test_a_model_file_gives_back_the_same_network(tmp_path: Path, tiny_recipe: Recipe) -> None:
    classifier = build_classifier(tiny_recipe, 3).eval()
    header = ModelHeader(name="x", recipe=tiny_recipe, labels=("a", "b", "c"))
    save_model(tmp_path / "m.safetensors", classifier, header)
    loaded, loaded_header = load_model(tmp_path / "m.safetensors")
    clips, num_frames = torch.randn(1, 4, 3, 48, 48), torch.tensor([4])
    assert loaded_header == header
    with torch.inference_mode():
        assert torch.equal(loaded(clips, num_frames), classifier(clips, num_frames))


def test_half_precision_halves_the_file_and_computes_in_float32(tmp_path: Path, tiny_recipe: Recipe) -> None:
    classifier = build_classifier(tiny_recipe, 3)
    sizes = {}
    for precision in ("float32", "float16"):
        header = ModelHeader(name="x", recipe=tiny_recipe, labels=("a", "b", "c"), precision=precision)
        save_model(tmp_path / precision, classifier, header)
        sizes[precision] = (tmp_path / precision).stat().st_size
    assert sizes["float16"] < 0.6 * sizes["float32"]
    loaded, _ = load_model(tmp_path / "float16")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_a_file_cut_short_is_named(tmp_path: Path, tiny_model: Path) -> None:
    content = tiny_model.read_bytes()
    for num_bytes in (0, 4, 100, len(content) // 2, len(content) - 1):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(content[:num_bytes])
        with pytest.raises(ModelFileInvalid, match=r"cut\.safetensors: is no model file, or one cut short"):
            load_model(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"hello", struct.pack("<Q", 2**60) + b"{}"])
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ModelFileInvalid, match="is no model file"):
        load_model(tmp_path / "other")


def test_a_file_of_mere_weights_says_how_to_use_it(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelFileInvalid, match="holds weights only.*--set backbone.weights="):
        load_model(tmp_path / "w.safetensors")


def test_a_newer_format_is_known_as_such_even_if_nothing_else_of_it_is(tmp_path: Path, tiny_model: Path) -> None:
    def change(tree: dict[str, Any]) -> None:
        tree.clear()
        tree.update(format_version=2, wonders=[1, 2])

    with pytest.raises(ModelFileInvalid, match="written in format 2, newer than the 1 known here; upgrade"):
        load_model(with_header(tmp_path / "new", tiny_model, change))


@pytest.mark.parametrize(
    ("section", "key", "value", "complaint"),
    [
        ("backbone", "name", "os.system", r"recipe.backbone.name = 'os.system'"),
        ("sampling", "max_frames", 1e9, r"recipe.sampling.max_frames = 1000000000.0"),
        ("temporal", "hidden_size", 10**12, r"recipe.temporal.hidden_size = 1000000000000"),
        ("preprocess", "height", -1, r"recipe.preprocess.height = -1"),
        ("sampling", "fps", "inf", r"recipe.sampling.fps = 'inf'"),
    ],
)
def test_hostile_values_are_refused_by_name(
    tmp_path: Path, tiny_model: Path, section: str, key: str, value: object, complaint: str
) -> None:
    def change(tree: dict[str, Any]) -> None:
        tree["recipe"].setdefault(section, {})[key] = value

    with pytest.raises(ModelFileInvalid, match=complaint):
        load_model(with_header(tmp_path / "hostile", tiny_model, change))


def test_a_recipe_larger_than_the_weights_is_refused_before_anything_is_allocated(
    tmp_path: Path, tiny_model: Path
) -> None:
    def change(tree: dict[str, Any]) -> None:
        tree["recipe"]["temporal"].update(hidden_size=4096, num_layers=8, projection_size=4096)

    with pytest.raises(ModelFileInvalid, match="its weights do not fit its recipe"):
        load_model(with_header(tmp_path / "large", tiny_model, change))


@pytest.mark.parametrize("spoil", [lambda t: t * torch.nan, lambda t: t.to(torch.int32)], ids=["NaN", "integers"])
def test_weights_that_are_no_numbers_are_refused(
    tmp_path: Path, tiny_model: Path, spoil: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    weights = load_file(tiny_model)
    weights["head.1.bias"] = spoil(weights["head.1.bias"])
    save_file(weights, tmp_path / "m", metadata=read_header(tiny_model).to_metadata())
    with pytest.raises(ModelFileInvalid, match=r"do not fit its recipe \(head.1.bias"):
        load_model(tmp_path / "m")


def test_saving_over_a_model_keeps_the_old_one_when_the_disk_is_full(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    classifier, header = load_model(path)

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(RunFolderUnusable, match="No space left on device"):
        save_model(path, classifier, header)
    assert path.read_bytes() == tiny_model.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def pretrained(backbone: str, weights: str | Path) -> VideoClassifier:
    recipe = Recipe.model_validate({"backbone": {"name": backbone}})
    classifier = build_classifier(recipe, 2)
    load_pretrained(classifier, Backbone.model_validate({"name": backbone, "weights": str(weights)}))
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
    with pytest.raises(WeightsUnavailable, match=r"does not hold the weights of resnet50 \(.* is .* instead of .*\)"):
        pretrained("resnet50", tmp_path / "r.safetensors")
    with pytest.raises(WeightsUnavailable, match=r"does not hold the weights of mobilenet_v2 \(.* is missing\)"):
        pretrained("mobilenet_v2", tmp_path / "r.safetensors")


def test_a_missing_weights_file_says_what_is_allowed() -> None:
    with pytest.raises(
        WeightsUnavailable, match="'imagnet': no such file; allowed are none, imagenet, a shipped model"
    ):
        pretrained("resnet18", "imagnet")


def test_an_unreachable_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(WeightsUnavailable, match="cannot be downloaded .*Name or service not known.*backbone.weights="):
        pretrained("resnet18", "imagenet")


def test_there_are_no_imagenet_weights_of_tiny() -> None:
    with pytest.raises(WeightsUnavailable, match="there are none for the backbone 'tiny'"):
        pretrained("tiny", "imagenet")


def test_starting_from_a_model_takes_all_but_its_head(tiny_model: Path, tiny_recipe: Recipe) -> None:
    classifier = build_classifier(tiny_recipe, 9)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    initialise_from(classifier, tiny_model)
    theirs = load_model(tiny_model)[0].state_dict()
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, before[name] if name.startswith("head.") else theirs[name]), name


def test_starting_from_a_model_of_other_shapes_is_refused(tiny_model: Path) -> None:
    classifier = build_classifier(Recipe.model_validate({"backbone": {"name": "tiny"}}), 4)
    with pytest.raises(WeightsUnavailable, match="its temporal does not fit the recipe"):
        initialise_from(classifier, tiny_model)
