"""torchvision's Kinetics-400 models whole, by name."""

from __future__ import annotations

import http.client
import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision

from tests.conftest import PlantWeights
from videoclf.errors import ModelFileInvalidError, WeightsUnavailableError
from videoclf.modeling.checkpoint import load_model, save_model
from videoclf.modeling.open_model import open_model
from videoclf.zoo import downloadable_names


@pytest.mark.parametrize("name", ["mc3_18", "s3d"])
def test_a_kinetics400_model_gives_torchvisions_scores_and_labels(name: str, plant_weights: PlantWeights) -> None:
    tensors = plant_weights(name)
    theirs = getattr(torchvision.models.video, name)().eval()
    theirs.load_state_dict(tensors)
    classifier, header = open_model(f"kinetics400-{name}")
    assert header.labels[:2] == ("abseiling", "air drumming")
    assert len(header.labels) == 400
    assert header.recipe.backbone.weights == "none"
    assert 0.6 < header.figures["published_top1"] < 0.7
    side = header.recipe.preprocess.height
    clips = torch.randn(1, 16, 3, side, side)
    with torch.inference_mode():
        mine = classifier(clips, torch.tensor([16]))
        torch.testing.assert_close(mine, theirs(clips.transpose(1, 2)), rtol=1e-4, atol=1e-5)


def test_a_kinetics400_model_can_be_kept_as_a_file(tmp_path: Path, plant_weights: PlantWeights) -> None:
    plant_weights("mc3_18")
    classifier, header = open_model("kinetics400-mc3_18")
    save_model(tmp_path / "mine.safetensors", classifier, header)
    again, _ = load_model(tmp_path / "mine.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), classifier.parameters(), strict=True))


@pytest.mark.parametrize("name", ["kinetics400-r3d_18", "kinetics400-s3d"])
def test_an_unreachable_hub_says_what_to_do_for_a_whole_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(WeightsUnavailableError, match=r"\.pth: cannot be downloaded .*put it into torch's cache"):
        open_model(name)


def spoil(name: str, content: object, plant_weights: PlantWeights) -> Path:
    """Put something else where torch keeps that download."""
    plant_weights(name)
    (path,) = (Path(torch.hub.get_dir()) / "checkpoints").iterdir()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize("content", [b"", b"<html>Sign in to the WLAN</html>", b"PK\x03\x04" + bytes(50), [1, 2]])
def test_a_download_that_is_damaged_is_named_with_the_remedy(content: object, plant_weights: PlantWeights) -> None:
    path = spoil("mc3_18", content, plant_weights)
    with pytest.raises(WeightsUnavailableError, match=rf"{path}: .*; delete it to download it again$") as caught:
        open_model("kinetics400-mc3_18")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", [torch.zeros(101, 512), torch.full((400, 512), torch.nan)])
def test_a_download_with_another_head_is_refused(head: torch.Tensor, plant_weights: PlantWeights) -> None:
    spoil("mc3_18", {**plant_weights("mc3_18"), "fc.weight": head}, plant_weights)
    with pytest.raises(WeightsUnavailableError, match=r"contains another head \(1.weight"):
        open_model("kinetics400-mc3_18")


def test_a_connection_that_breaks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise http.client.IncompleteRead(b"")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", break_off)
    with pytest.raises(WeightsUnavailableError, match="cannot be downloaded"):
        open_model("kinetics400-r3d_18")


def test_a_name_that_is_near_a_kinetics_one_is_told_them() -> None:
    with pytest.raises(ModelFileInvalidError, match="downloaded once: kinetics400-mc3_18, kinetics400-r2plus1d_18"):
        open_model("kinetics400-s4d")
    assert len(downloadable_names()) == 4
