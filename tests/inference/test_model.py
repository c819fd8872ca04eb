"""`videoclf.load` and what it gives, on real files and the embedded default model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import videoclf
from tests.conftest import write_clip
from videoclf.errors import DeviceUnavailableError, ModelFileInvalidError, SourceMissingError
from videoclf.zoo import sample_clip


@pytest.fixture(scope="module")
def default_model() -> videoclf.Model:
    return videoclf.load()


def test_the_embedded_default_knows_sixteen_actions(default_model: videoclf.Model) -> None:
    assert repr(default_model) == "Model(actions16: mobilenet_v2, 16 classes)"
    assert {"walk", "wave2", "handshake", "push"} <= set(default_model.labels)


def test_it_classifies_the_sample_clip(default_model: videoclf.Model) -> None:
    prediction = default_model.predict(sample_clip())
    assert prediction.num_frames == 40
    assert prediction.duration_seconds == pytest.approx(4.0)
    assert sum(entry.score for entry in prediction.labels) == pytest.approx(1, abs=1e-4)


def test_it_is_right_about_clips_of_a_held_out_person_and_group(
    default_model: videoclf.Model, shared_data: Path
) -> None:
    assert default_model.predict(shared_data / "weizmann/walk/ira_walk.avi").label == "walk"
    assert default_model.predict(shared_data / "ut_interaction/hug/v_hug_g09_c053.avi").label == "hug"


def test_alone_or_among_others_a_video_gets_the_same_scores(default_model: videoclf.Model, demo_folder: Path) -> None:
    paths = sorted(demo_folder.rglob("*_g01_c01.*"))
    together = [outcome for outcome in default_model.predict_many(paths) if isinstance(outcome, videoclf.Prediction)]
    for path, prediction in zip(paths, together, strict=True):
        alone = default_model.predict(path)
        assert [entry.label for entry in alone.labels] == [entry.label for entry in prediction.labels]
        assert [e.score for e in alone.labels] == pytest.approx([e.score for e in prediction.labels], abs=1e-5)


def test_features_are_a_step_a_moment(default_model: videoclf.Model, tmp_path: Path) -> None:
    features = default_model.features(write_clip(tmp_path / "clip.avi", 25))
    assert features.shape == (10, 3 * (1280 + 9 * 96))
    assert features.dtype == torch.float32


def test_a_source_that_cannot_be_read_is_raised_from_predict(default_model: videoclf.Model) -> None:
    with pytest.raises(SourceMissingError, match="gone.mp4: no such file"):
        default_model.predict("gone.mp4")
    with pytest.raises(SourceMissingError, match="gone.mp4: no such file"):
        default_model.features("gone.mp4")


def test_an_unknown_model_names_what_there_is() -> None:
    with pytest.raises(
        ModelFileInvalidError,
        match=r"no model 'actoins16': .* nor the name of a model \(shipped: actions16; downloaded",
    ):
        videoclf.load("actoins16")


def test_a_recipe_without_weights_says_how_to_train_it() -> None:
    with pytest.raises(ModelFileInvalidError, match="is a recipe without shipped weights; train it"):
        videoclf.load("tiny")


@pytest.mark.parametrize(
    ("device", "complaint"), [("gpu", "there is no such kind of device"), ("mps", "is not supported")]
)
def test_an_unknown_device_says_what_there_is(tiny_model: Path, device: str, complaint: str) -> None:
    with pytest.raises(DeviceUnavailableError, match=f"device='{device}': {complaint}; use auto, cpu, cuda"):
        videoclf.load(tiny_model, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_says_so(tiny_model: Path) -> None:
    with pytest.raises(DeviceUnavailableError, match="torch finds no GPU on this machine; use cpu"):
        videoclf.load(tiny_model, device="cuda")


def test_importing_videoclf_imports_no_torch() -> None:
    code = "import sys, videoclf, videoclf.cli.main; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_media_and_recipe_rooms_know_no_torch() -> None:
    code = "import sys, videoclf.media.reader, videoclf.recipe.header; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names_are_listed_and_load() -> None:
    assert all(getattr(videoclf, name) is not None for name in dir(videoclf))
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        videoclf.laod  # noqa: B018  # type: ignore[attr-defined]
