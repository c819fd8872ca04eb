from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file

from videoclf.errors import ModelFileInvalidError
from videoclf.recipe.header import METADATA_KEY, Calibration, ModelHeader, read_header
from videoclf.recipe.recipe import Recipe


def model_file(folder: Path, metadata: dict[str, str] | None) -> Path:
    path = folder / "model.safetensors"
    save_file({"weight": np.zeros(64, np.float32)}, path, metadata=metadata)
    return path


def header_file(folder: Path, **changes: object) -> Path:
    """A model file whose header is right but for the changes."""
    tree = {"format_version": 1, "name": "walkers", "recipe": {}, "labels": ["run", "walk"], **changes}
    return model_file(folder, {METADATA_KEY: json.dumps(tree)})


def test_a_header_that_was_written_is_read_back_equal(tmp_path: Path) -> None:
    header = ModelHeader(
        name="walkers",
        recipe=Recipe(description="é 走る"),
        labels=("walk", "run", "走る"),
        calibration=Calibration(temperature=1.5, threshold=0.25),
        precision="float16",
        figures={"test_top1": 0.875},
    )
    assert read_header(model_file(tmp_path, header.to_metadata())) == header


def test_what_a_header_leaves_out_has_defaults(tmp_path: Path) -> None:
    header = read_header(header_file(tmp_path))
    assert (header.calibration, header.precision, header.figures) == (Calibration(), "float32", {})


def test_labels_keep_their_order(tmp_path: Path) -> None:
    assert read_header(header_file(tmp_path, labels=["z", "a", "m"])).labels == ("z", "a", "m")


def test_a_newer_format_is_told_to_upgrade_before_anything_else_is_checked(tmp_path: Path) -> None:
    path = header_file(tmp_path, format_version=4, recipe="of another shape", colours=True)
    with pytest.raises(ModelFileInvalidError, match="written in format 4, but this version reads up to format 3"):
        read_header(path)


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None, [1]])
def test_a_format_version_that_is_no_number_from_1_up_is_refused(tmp_path: Path, version: object) -> None:
    with pytest.raises(ModelFileInvalidError, match="its header has no format_version"):
        read_header(header_file(tmp_path, format_version=version))


@pytest.mark.parametrize("text", ["[]", "1", '"text"', "null", "{}"])
def test_json_that_is_no_header_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelFileInvalidError, match="its header has no format_version"):
        read_header(model_file(tmp_path, {METADATA_KEY: text}))


@pytest.mark.parametrize(
    "text", ["", "{", "not json", '{"format_version": 1,}', '{"format_version": ' + "9" * 5000 + "}"]
)
def test_metadata_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelFileInvalidError, match=r"model\.safetensors: its header is not JSON"):
        read_header(model_file(tmp_path, {METADATA_KEY: text}))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deeply_nested_json_is_refused(tmp_path: Path, opening: str, closing: str) -> None:
    text = f'{{"format_version": 1, "labels": {opening * 100_000}1{closing * 100_000}}}'
    with pytest.raises(ModelFileInvalidError, match=r"model\.safetensors: its header is"):
        read_header(model_file(tmp_path, {METADATA_KEY: text}))


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_weights_without_our_header_are_told_what_they_are_good_for(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = model_file(tmp_path, metadata)
    with pytest.raises(
        ModelFileInvalidError, match=r"only weights, not a videoclf model; .*overrides=\['backbone\.weights="
    ):
        read_header(path)


@pytest.mark.parametrize("num_bytes", [0, 4, 8, 40, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, num_bytes: int) -> None:
    path = header_file(tmp_path)
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(ModelFileInvalidError, match=r"model\.safetensors: is not a model file, or is cut short"):
        read_header(path)


@pytest.mark.parametrize("content", [b"\xff" * 200, b"PK\x03\x04" + bytes(200), b"some text " * 20])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileInvalidError, match="is not a model file"):
        read_header(path)


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileInvalidError, match=r"nowhere\.safetensors: .*No such file"):
        read_header(tmp_path / "nowhere.safetensors")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileInvalidError, match="is not a model file"):
        read_header(tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"recipe": {"sampling": {"max_frames": 1e9}}}, r"recipe\.sampling\.max_frames = 1000000000\.0: .*1024"),
        ({"recipe": {"temporal": {"num_layers": 10**30}}}, r"recipe\.temporal\.num_layers = 1000.*equal to 8"),
        ({"recipe": {"backbone": {"name": "os.system"}}}, r"recipe\.backbone\.name = 'os\.system': unknown backbone"),
        ({"recipe": {"backbone": {"module": "x"}}}, r"unknown key 'recipe\.backbone\.module'; known keys: name, temp"),
        ({"recipe": None}, r"recipe = None"),
        ({"pickle": "gASV"}, "unknown key 'pickle'; known keys: format_version, name, recipe, labels"),
        ({"labels": ["walk", "walk"]}, "two labels are the same"),
        ({"labels": ["walk"]}, "labels .*at least 2"),
        ({"labels": ["walk", ""]}, "the name '' is empty"),
        ({"labels": ["walk", "x" * 501]}, "longer than 500 characters"),
        ({"labels": ["walk", 7]}, r"labels\.1 = 7: .*string"),
        ({"labels": "ab"}, "labels = 'ab'"),
        ({"labels": [str(i) for i in range(100_001)]}, "at most 100000"),
        ({"name": ""}, "name = ''.*at least 1"),
        ({"name": "x" * 201}, "at most 200"),
        ({"precision": "int4"}, "precision = 'int4'"),
        ({"figures": {"top1": float("nan")}}, r"figures\.top1 = nan: .*finite"),
        ({"figures": {str(i): 0 for i in range(1001)}}, "at most 1000"),
        ({"calibration": {"temperature": 0}}, r"calibration\.temperature = 0: .*0\.01"),
        ({"calibration": {"temperature": float("inf")}}, r"calibration\.temperature = inf: .*finite"),
        ({"calibration": {"threshold": 1.5}}, r"calibration\.threshold = 1\.5: .*equal to 1"),
    ],
)
def test_a_hostile_value_is_named(tmp_path: Path, changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(
        ModelFileInvalidError, match=rf"model\.safetensors: its header is refused: .*{complaint}"
    ) as caught:
        read_header(header_file(tmp_path, **changes))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("key", ["name", "recipe", "labels"])
def test_what_a_header_must_hold_is_asked_for(tmp_path: Path, key: str) -> None:
    tree = {"format_version": 1, "name": "walkers", "recipe": {}, "labels": ["run", "walk"]}
    del tree[key]
    with pytest.raises(ModelFileInvalidError, match=f"its header is refused: {key} is missing"):
        read_header(model_file(tmp_path, {METADATA_KEY: json.dumps(tree)}))


def test_a_header_built_in_code_is_checked_alike() -> None:
    with pytest.raises(ValidationError, match="two labels are the same"):
        ModelHeader(name="walkers", recipe=Recipe(), labels=("walk", "walk"))


def test_a_header_cannot_be_changed() -> None:
    header = ModelHeader(name="walkers", recipe=Recipe(), labels=("run", "walk"))
    with pytest.raises(ValidationError, match="frozen"):
        header.name = "others"  # type: ignore[misc]


@pytest.mark.parametrize("label", ["\ud800", "wa\nlk", "\x1b[31mwalk", "", "w" * 501])
def test_a_label_that_cannot_be_printed_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(ModelFileInvalidError, match="cannot be printed"):
        read_header(header_file(tmp_path, labels=[label, "run"]))


@pytest.mark.parametrize("changes", [{"figures": {"a\nb": "x"}}, {"k" * 100_000: 1}, {"format_version": 10**4000}])
def test_a_refusal_is_one_short_line(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(ModelFileInvalidError) as caught:
        read_header(header_file(tmp_path, **changes))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
