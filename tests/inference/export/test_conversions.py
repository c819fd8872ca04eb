"""The cache of converted models: once, whole or not at all, and never the wrong one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

import videoclf
from tests.conftest import write_clip
from tests.inference.exported_models import openvino_or_skip
from videoclf.errors import EngineUnavailableError, ModelFileInvalidError
from videoclf.inference.export import conversions, convert


@pytest.fixture(autouse=True, scope="module")
def _openvino() -> None:
    openvino_or_skip()


def fake(monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes]) -> list[object]:
    """Replaces the conversion, which takes seconds; returns what it was asked for."""
    asked: list[object] = []

    def convert(model: object, _notice: object) -> dict[str, bytes]:
        asked.append(model)
        return content

    monkeypatch.setattr(conversions, "_convert", convert)
    return asked


@pytest.fixture
def tiny_content(tiny_model: Path) -> dict[str, bytes]:
    """What converting the tiny model gave, when the session began."""
    path = conversions._entry_path(tiny_model)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_model_is_converted_once_and_said_so(
    tiny_model: Path, tiny_content: dict[str, bytes], engine_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, notices = fake(monkeypatch, tiny_content), list[str]()
    for _ in range(2):
        conversions.open_converted(tiny_model, notices.append)
    assert asked == [tiny_model]
    assert notices == [f"{tiny_model} was converted for OpenVINO; it is kept in {engine_folder}"]


def test_that_a_model_is_converted_is_said_when_it_is(
    tiny_model: Path, engine_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices: list[str] = []

    def to_openvino(*_: object) -> tuple[bytes, bytes]:
        notices.append("conversion")
        return b"<net/>", b""

    monkeypatch.setattr(convert, "to_openvino", to_openvino)
    with pytest.raises(ModelFileInvalidError):  # what was made here is none
        conversions.open_converted(tiny_model, notices.append)
    assert notices == [
        f"{tiny_model} is being converted for OpenVINO, which takes some seconds",
        "conversion",
        f"{tiny_model} was converted for OpenVINO; it is kept in {engine_folder}",
    ]


def test_of_a_model_that_is_refused_nothing_is_said_before(
    tmp_path: Path, tiny_model: Path, engine_folder: Path
) -> None:
    torn, notices = tmp_path / "torn", list[str]()
    torn.write_bytes(tiny_model.read_bytes()[:-1])
    with pytest.raises(ModelFileInvalidError, match="cut short"):
        conversions.open_converted(torn, notices.append)
    assert notices == []


def test_a_torn_entry_is_converted_anew(
    tiny_model: Path, tiny_content: dict[str, bytes], engine_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake(monkeypatch, tiny_content)
    conversions.open_converted(tiny_model, print)
    (entry,) = engine_folder.glob("*.zip")
    whole = entry.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[: len(whole) // 2], b"", bytes(flipped)):
        entry.write_bytes(damaged)
        assert conversions.open_converted(tiny_model, print).header.name == "random-tiny"
    assert len(asked) == 4


def test_another_content_or_version_has_another_name(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = conversions._entry_path(tiny_model)
    other = tmp_path / "other"
    other.write_bytes(tiny_model.read_bytes() + b" ")
    assert conversions._entry_path(other) != before
    monkeypatch.setattr(conversions, "version", lambda _package: "9.9")
    assert conversions._entry_path(tiny_model) != before


def test_a_refusal_is_remembered_and_torch_does_the_work(
    tmp_path: Path, tiny_model: Path, engine_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake(monkeypatch, {"refusal.txt": b"OpenVINO cannot follow it"})
    notices: list[str] = []
    for _ in range(2):
        model = videoclf.load(tiny_model, device="cpu", progress=notices.append)
    assert len(asked) == 1
    assert notices[-1] == "OpenVINO cannot follow it; torch is used instead"
    assert model.predict(write_clip(tmp_path / "a.avi", 10)).num_frames == 4
    with pytest.raises(EngineUnavailableError, match="OpenVINO cannot follow it"):
        videoclf.load(tiny_model, engine="openvino")


def test_a_cache_that_cannot_be_written_is_found_before_anybody_waits(
    tiny_model: Path, engine_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake(monkeypatch, {})
    engine_folder.touch()
    with pytest.raises(
        EngineUnavailableError, match=r"engines: models .* cannot be stored there \(.*\); set VIDEOCLF_CACHE"
    ):
        conversions.open_converted(tiny_model, print)
    assert asked == []


def test_both_engines_give_the_same_predictions(tmp_path: Path, tiny_model: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", 60)
    torch, openvino = (videoclf.load(tiny_model, engine=name).predict(clip) for name in ("torch", "openvino"))
    scores = [{entry.label: entry.score for entry in prediction.labels} for prediction in (torch, openvino)]
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)
    features = [videoclf.load(tiny_model, engine=name).features(clip).numpy() for name in ("torch", "openvino")]
    np.testing.assert_allclose(features[1], features[0], atol=1e-4)
