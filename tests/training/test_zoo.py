"""Every recipe of the zoo works from end to end: builds, trains a step, saves, loads and predicts."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.models import list_models

import videoclf
from tests.conftest import PlantWeights, write_clip
from videoclf.recipe.backbone_names import backbone_facts
from videoclf.recipe.toml_io import load_recipe
from videoclf.training.loop.checkpoints import Checkpoints
from videoclf.zoo import find_recipe, recipe_names

ONE_STEP = (
    "training.epochs=1", "training.batch_size=4", "sampling.max_frames=3", "sampling.fps=3",
    "preprocess.height=32", "preprocess.width=32",
)  # fmt: skip
"""Small pictures, too: what the sizes of the recipes cost is no test's business."""

ONE_OF_EACH_KIND = (
    "tiny", "mobilenet_v2-gru", "resnet18-gru", "efficientnet_b0-gru", "inflated-mobilenet_v2-gru", "s3d-gru",
    "kinetics400-mc3_18",
)  # fmt: skip
"""Every other recipe differs from one of these in the network's name or size only; the slow test takes them all."""


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for label in ("Long", "Short"):
        (folder / label).mkdir()
        for group in range(1, 4):
            path = folder / label / f"v_{label}_g{group:02}_c01.avi"
            num_frames, first_number = (20, 64 * group) if label == "Long" else (8, 512 + 64 * group)
            write_clip(path, num_frames, first_number=first_number)
    return folder


@pytest.mark.usefixtures("without_reports", "large_memory")
@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_a_recipe_goes_all_the_way(
    name: str, two_classes: Path, tmp_path: Path, plant_weights: PlantWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a checkpoint, of half a gigabyte for some, and by torch: the slow test has both."""
    monkeypatch.setattr(Checkpoints, "save", lambda *_: None)
    go_all_the_way(name, two_classes, tmp_path, plant_weights, engine="torch")


@pytest.mark.slow
@pytest.mark.usefixtures("large_memory")
@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_goes_all_the_way_to_the_engine_that_predicts_by_default(
    name: str, two_classes: Path, tmp_path: Path, plant_weights: PlantWeights
) -> None:
    go_all_the_way(name, two_classes, tmp_path, plant_weights, engine="auto")


def go_all_the_way(name: str, two_classes: Path, tmp_path: Path, plant_weights: PlantWeights, *, engine: str) -> None:
    recipe = load_recipe(find_recipe(name))
    network = backbone_facts(recipe.backbone.name).network
    if recipe.backbone.weights in {"imagenet", "kinetics400"} and network in list_models():
        plant_weights(network)
    run = videoclf.train(two_classes, out=tmp_path / "run", recipe=name, overrides=ONE_STEP, device="cpu")
    model = videoclf.load(run.folder, engine=engine)
    clip = two_classes / "Long" / "v_Long_g01_c01.avi"
    assert {entry.label for entry in model.predict(clip).labels} == {"Long", "Short"}
    assert model.features(clip).ndim == 2
