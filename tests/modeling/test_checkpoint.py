"""Model files and pretrained weights, good and bad."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from videoclf.errors import ModelFileInvalidError, RunFolderUnusableError, WeightsUnavailableError
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.checkpoint import initialise_from, load_model, save_model
from videoclf.modeling.classifier import build_backbone, build_classifier
from videoclf.recipe.backbone_names import TORCHVISION_2D, TORCHVISION_3D
from videoclf.recipe.header import METADATA_KEY, ModelHeader, read_header
from videoclf.recipe.recipe import Recipe


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
    for layer in loaded.modules():
        assert not isinstance(layer, nn.Conv2d) or layer.weight.is_contiguous(memory_format=torch.channels_last)
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
        with pytest.raises(ModelFileInvalidError, match=r"cut\.safetensors: is not a model file, or is cut short"):
            load_model(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"hello", struct.pack("<Q", 2**60) + b"{}"])
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ModelFileInvalidError, match="is not a model file"):
        load_model(tmp_path / "other")


def test_a_file_of_mere_weights_says_how_to_use_it(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelFileInvalidError, match=r"contains only weights.*overrides=\['backbone.weights="):
        load_model(tmp_path / "w.safetensors")


def test_a_newer_format_is_known_as_such_even_if_nothing_else_of_it_is(tmp_path: Path, tiny_model: Path) -> None:
    def change(tree: dict[str, Any]) -> None:
        tree.clear()
        tree.update(format_version=4, wonders=[1, 2])

    with pytest.raises(ModelFileInvalidError, match="written in format 4, but this version reads up to format 3"):
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

    with pytest.raises(ModelFileInvalidError, match=complaint):
        load_model(with_header(tmp_path / "hostile", tiny_model, change))


def test_a_recipe_larger_than_the_weights_is_refused_before_anything_is_allocated(
    tmp_path: Path, tiny_model: Path
) -> None:
    def change(tree: dict[str, Any]) -> None:
        tree["recipe"]["temporal"].update(hidden_size=4096, num_layers=8, projection_size=4096)

    with pytest.raises(ModelFileInvalidError, match="its weights do not fit its recipe"):
        load_model(with_header(tmp_path / "large", tiny_model, change))


def with_weight(path: Path, source: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """A copy of a model file with one tensor changed."""
    weights = load_file(source)
    weights[name] = change(weights[name])
    save_file(weights, path, metadata=read_header(source).to_metadata())
    return path


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    path = with_weight(tmp_path / "m", tiny_model, "head.1.bias", lambda tensor: tensor * torch.nan)
    with pytest.raises(
        ModelFileInvalidError, match=r"recipe \(head.1.bias contains values that are not finite numbers\); ask"
    ):
        load_model(path)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu, torch.complex64, torch.bool,
        torch.int64, torch.int32, torch.uint8,
    ],
)  # fmt: skip
def test_weights_of_a_kind_of_numbers_that_is_not_listed_are_refused(
    tmp_path: Path, tiny_model: Path, dtype: torch.dtype
) -> None:
    path = with_weight(tmp_path / "m", tiny_model, "head.1.bias", lambda tensor: tensor.abs().to(dtype))
    with pytest.raises(ModelFileInvalidError) as caught:
        load_model(path)
    kind = str(dtype).removeprefix("torch.")
    assert str(caught.value) == (
        f"{path}: its weights do not fit its recipe (head.1.bias is {kind}; allowed there: float32, float16, "
        "bfloat16); ask whoever made the file for a valid copy"
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_the_bits_are_taken_as_they_are(tmp_path: Path, tiny_model: Path, dtype: torch.dtype) -> None:
    path = with_weight(tmp_path / "m", tiny_model, "head.1.bias", lambda tensor: tensor.to(dtype))
    bias = load_model(path)[0].state_dict()["head.1.bias"]
    assert torch.equal(bias, load_file(path)["head.1.bias"].float())


def test_counts_are_what_the_network_has_them_as(tmp_path: Path, tiny_model: Path) -> None:
    name = next(name for name in load_file(tiny_model) if name.endswith("num_batches_tracked"))
    path = with_weight(tmp_path / "m", tiny_model, name, lambda tensor: tensor.float())
    with pytest.raises(
        ModelFileInvalidError, match=rf"\({name} is float32; allowed there: int64\); ask whoever made the file"
    ):
        load_model(path)


def test_numbers_that_safetensors_cannot_give_are_no_torn_file(tmp_path: Path, tiny_model: Path) -> None:
    content = tiny_model.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    entry = next(entry for name, entry in header.items() if name.endswith(".0.weight"))
    begin, end = entry["data_offsets"]
    entry |= {"dtype": "F6_E2M3", "shape": [(end - begin) * 8 // 6]}
    changed = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(changed)) + changed + data)
    with pytest.raises(
        ModelFileInvalidError, match=r"m: its weights cannot be read \(.*F6_E2M3.*\); download or copy the file"
    ):
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
    with pytest.raises(RunFolderUnusableError, match="No space left on device"):
        save_model(path, classifier, header)
    assert path.read_bytes() == tiny_model.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_starting_from_a_model_takes_all_but_its_head(tiny_model: Path, tiny_recipe: Recipe) -> None:
    classifier = build_classifier(tiny_recipe, 9)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    initialise_from(classifier, load_model(tiny_model)[0], source=str(tiny_model))
    theirs = load_model(tiny_model)[0].state_dict()
    for name, tensor in classifier.state_dict().items():
        assert torch.equal(tensor, before[name] if name.startswith("head.") else theirs[name]), name


def test_starting_from_a_model_of_other_shapes_is_refused(tiny_model: Path) -> None:
    classifier = build_classifier(Recipe.model_validate({"backbone": {"name": "tiny"}}), 4)
    with pytest.raises(WeightsUnavailableError, match="its temporal does not fit the recipe"):
        initialise_from(classifier, load_model(tiny_model)[0], source=str(tiny_model))


@pytest.mark.parametrize("name", [*TORCHVISION_2D, *TORCHVISION_3D])
def test_every_network_can_be_built_without_memory_for_its_weights(name: str) -> None:
    for known in [name, f"inflated:{name}"] if name in TORCHVISION_2D else [name]:
        with torch.device("meta"):
            backbone = build_backbone(Recipe.model_validate({"backbone": {"name": known}}))
        assert all(tensor.is_meta for tensor in (*backbone.parameters(), *backbone.buffers()))


@pytest.mark.parametrize("name", ["regnet_y_400mf", "inflated:regnet_x_400mf", "convnext_tiny", "mc3_18"])
def test_a_model_of_every_family_comes_back(tmp_path: Path, name: str) -> None:
    recipe = Recipe.model_validate({"backbone": {"name": name}, "preprocess": {"height": 32, "width": 32}})
    classifier = build_classifier(recipe, 2).eval()
    save_model(tmp_path / "m", classifier, ModelHeader(name="x", recipe=recipe, labels=("a", "b")))
    loaded, _ = load_model(tmp_path / "m")
    clips, num_frames = torch.randn(1, 2, 3, 32, 32), torch.tensor([2])
    with torch.inference_mode():
        assert torch.equal(loaded(clips, num_frames), classifier(clips, num_frames))


@pytest.mark.parametrize(("name", "size"), [("s3d", 16), ("convnext_tiny", 16), ("inflated:convnext_tiny", 16)])
def test_images_that_a_network_cannot_take_are_refused(tmp_path: Path, name: str, size: int) -> None:
    tree = {"backbone": {"name": name}, "preprocess": {"height": size, "width": size}}
    recipe = Recipe.model_validate(tree)
    save_model(tmp_path / "m", build_classifier(recipe, 2), ModelHeader(name="x", recipe=recipe, labels=("a", "b")))
    with pytest.raises(ModelFileInvalidError, match=f"height, width = 16, 16: {name} does not accept such images"):
        load_model(tmp_path / "m")


def test_weights_that_are_shared_are_kept(tmp_path: Path) -> None:
    conv = nn.Conv2d(3, 3, 3)
    recipe = Recipe.model_validate({"backbone": {"name": "custom"}})
    backbone = FrameBackbone(nn.Sequential(conv, conv, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3)
    header = ModelHeader(name="x", recipe=recipe, labels=("a", "b"))
    save_model(tmp_path / "m", build_classifier(recipe, 2, backbone), header)
    loaded, _ = load_model(tmp_path / "m", backbone=backbone)
    assert torch.equal(loaded.backbone.network[0].weight, conv.weight)  # type: ignore[union-attr, index]


def custom_backbone() -> FrameBackbone:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.register_buffer("table", torch.arange(3.0), persistent=False)
    return FrameBackbone(network, 4)


def test_a_model_with_a_backbone_of_ones_own_is_loaded_with_one_of_the_same_make(tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"backbone": {"name": "custom"}})
    classifier = build_classifier(recipe, 2, custom_backbone()).eval()
    save_model(tmp_path / "m", classifier, ModelHeader(name="x", recipe=recipe, labels=("a", "b")))
    mine = custom_backbone()
    loaded, _ = load_model(tmp_path / "m", backbone=mine)
    clips, num_frames = torch.randn(1, 4, 3, 16, 16), torch.tensor([4])
    with torch.inference_mode():
        assert torch.equal(loaded(clips, num_frames), classifier(clips, num_frames))
    assert dict(mine.network.named_buffers())["table"].tolist() == [0, 1, 2]


def test_a_model_with_a_backbone_of_ones_own_says_so(tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"backbone": {"name": "custom"}})
    classifier = build_classifier(recipe, 2, custom_backbone())
    save_model(tmp_path / "m", classifier, ModelHeader(name="x", recipe=recipe, labels=("a", "b")))
    with pytest.raises(ModelFileInvalidError, match=r"m: backbone.name = 'custom'.*videoclf.load\(..., backbone=...\)"):
        load_model(tmp_path / "m")
