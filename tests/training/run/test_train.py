"""Whole runs: from a folder of videos to a model that predicts."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import videoclf
from tests.conftest import PlantWeights, write_clip
from tests.training.differences import largest_difference
from videoclf.data.dataset import load_dataset
from videoclf.data.splits import make_split
from videoclf.data_check.leak_search import LeakSearch, find_leaks
from videoclf.epoch_record import EpochRecord
from videoclf.errors import (
    DatasetInvalidError,
    DeviceUnavailableError,
    MemoryExhaustedError,
    ModelFileInvalidError,
    RecipeInvalidError,
    RunFolderUnusableError,
    SplitLeaksError,
    UsageInvalidError,
    WeightsUnavailableError,
)
from videoclf.media.video import Video
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.progress import SilentProgress
from videoclf.recipe.header import read_header
from videoclf.recipe.toml_io import load_recipe
from videoclf.training.run.folder import Run
from videoclf.zoo import model_names

SHORT = ("training.epochs=2", "sampling.fps=4")


class Notes(SilentProgress):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.records: list[EpochRecord] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        self.records.append(record)


@pytest.fixture(scope="module")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in four groups, one clip of them broken."""
    folder = tmp_path_factory.mktemp("small")
    for label in ("Long", "Short"):
        (folder / label).mkdir()
        for group in range(1, 5):
            path = folder / label / f"v_{label}_g{group:02}_c01.avi"
            num_frames, first_number = (20 + group, 64 * group) if label == "Long" else (5 + group, 512 + 64 * group)
            write_clip(path, num_frames, first_number=first_number)
    (folder / "Long" / "v_Long_g01_c02.avi").write_bytes(b"RIFF....AVI broken")
    return folder


@pytest.fixture(scope="module")
def run(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Notes]:
    notes = Notes()
    out = tmp_path_factory.mktemp("runs") / "first"
    split = "leave-out:g04"
    return videoclf.train(
        small_data, out=out, recipe="tiny", overrides=SHORT, split=split, device="cpu", progress=notes
    ), notes


def test_a_run_leaves_all_that_the_contract_names(run: tuple[Run, Notes]) -> None:
    names = {path.name for path in run[0].folder.iterdir()}
    assert names == {
        "model.safetensors", "metrics.json", "report.html", "recipe.toml", "log.csv", "split.json", "predictions.jsonl",
    }  # fmt: skip


def test_its_model_predicts_under_the_runs_name(run: tuple[Run, Notes], small_data: Path) -> None:
    prediction = videoclf.load(run[0].folder).predict(small_data / "Long" / "v_Long_g01_c01.avi")
    assert prediction.model == "first"
    assert {entry.label for entry in prediction.labels} == {"Long", "Short"}


def test_a_linear_probe_stands_beside_it_where_features_stay(small_data: Path, tmp_path: Path) -> None:
    frozen = [*SHORT, "backbone.frozen=true", "head.ridge=true"]
    tested, untested = (
        videoclf.train(small_data, out=tmp_path / name, recipe="tiny", overrides=frozen, split=split, device="cpu")
        for name, split in (("tested", "leave-out:g04"), ("untested", "none"))
    )
    for run, num_clips in ((tested, 2), (untested, 2)):
        assert run.linear_probe is not None
        assert run.linear_probe.num_clips == num_clips
        assert run.linear_probe.describe() in (run.folder / "report.html").read_text()
        assert run.linear_probe.difference == pytest.approx(run.metrics.top1 - run.linear_probe.probe_top1)


def test_where_the_backbone_is_trained_there_is_none(run: tuple[Run, Notes]) -> None:
    assert run[0].linear_probe is None


def test_its_figures_are_those_of_the_test_part(run: tuple[Run, Notes]) -> None:
    figures = json.loads((run[0].folder / "metrics.json").read_text())
    assert figures["judged_on"] == "test"
    assert figures["num_clips"] == 2
    assert figures["split"] == {
        "spec": "leave-out:g04",
        "num_train": 5,
        "num_validation": 2,
        "num_test": 2,
        "num_missing": 0,
    }
    assert figures["top1"] == run[0].metrics.top1


def test_a_broken_clip_is_named_once_and_counted(run: tuple[Run, Notes]) -> None:
    broken = [text for text in run[1].texts if "v_Long_g01_c02.avi" in text]
    quarantined = json.loads((run[0].folder / "metrics.json").read_text())["quarantined"]
    assert len(broken) == 1
    assert [Path(path).name for path in quarantined] == ["v_Long_g01_c02.avi"]


def test_the_log_has_a_line_an_epoch(run: tuple[Run, Notes]) -> None:
    with (run[0].folder / "log.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
    assert len(run[1].records) == 2


def test_the_report_names_what_could_not_be_read_and_loads_nothing(run: tuple[Run, Notes]) -> None:
    html = (run[0].folder / "report.html").read_text()
    assert "v_Long_g01_c02.avi" in html
    assert "<script" not in html
    assert "<h2>Lowest-confidence clips</h2>" in html
    assert set(re.findall('src="(.{22})', html)) == {"data:image/jpeg;base64"}


def test_its_recipe_trains_the_same_again(run: tuple[Run, Notes], small_data: Path, tmp_path: Path) -> None:
    again = videoclf.train(
        small_data, out=tmp_path / "first", recipe=run[0].folder / "recipe.toml", split="leave-out:g04", device="cpu"
    )
    assert again.model_path.read_bytes() == run[0].model_path.read_bytes()


def test_a_run_is_not_overwritten_unasked(run: tuple[Run, Notes], small_data: Path) -> None:
    before = run[0].model_path.read_bytes()
    with pytest.raises(
        RunFolderUnusableError, match="already contains a run; choose another out, or add overwrite=True"
    ):
        videoclf.train(small_data, out=run[0].folder, recipe="tiny", overrides=SHORT)
    assert run[0].model_path.read_bytes() == before


def test_overwriting_removes_all_of_the_old_run_first(run: tuple[Run, Notes], small_data: Path, tmp_path: Path) -> None:
    shutil.copytree(run[0].folder, tmp_path / "run")

    class Interrupted(SilentProgress):
        def stage(self, name: str, total: int) -> None:
            if name.startswith("epoch"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        videoclf.train(small_data, out=tmp_path / "run", recipe="tiny", overwrite=True, progress=Interrupted())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"recipe.toml", "split.json"}


def test_what_excludes_each_other_is_refused(run: tuple[Run, Notes], small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalidError, match="init and overrides=.* both choose"):
        videoclf.train(small_data, out=tmp_path, init=run[0].folder, overrides=["backbone.weights=none"])
    with pytest.raises(DeviceUnavailableError, match="precision='16': a CPU does not support it"):
        videoclf.train(small_data, out=tmp_path, recipe="tiny", precision="16-mixed", device="cpu")


def test_clips_that_cannot_be_read_are_counted(run: tuple[Run, Notes]) -> None:
    assert run[0].num_unreadable == 1


def test_a_model_lends_its_weights_to_a_run_with_other_classes(
    run: tuple[Run, Notes], demo_folder: Path, tmp_path: Path
) -> None:
    data = tmp_path / "list.csv"
    clips = [path for path in sorted(demo_folder.rglob("*_c01.*")) if path.parent.name != "ZigzagDown"]
    data.write_text("".join(f"{path},{path.parent.name}\n" for path in clips))
    second = videoclf.train(data, out=tmp_path / "second", init=run[0].folder, overrides=["training.epochs=1"])
    assert videoclf.load(second.folder).labels == ("Clockwise", "Counterclockwise", "ZigzagAcross")


def test_figures_of_clips_that_a_refit_learnt_from_are_told_as_that(small_data: Path, tmp_path: Path) -> None:
    notes = Notes()
    trained = videoclf.train(
        small_data, out=tmp_path / "run", recipe="tiny", split="none", progress=notes,
        overrides=["backbone.frozen=true", "training.epochs=1", "training.refit=true"],
    )  # fmt: skip
    assert trained.evaluated_on == "training"
    assert any("figures are of clips that the network was trained on" in text for text in notes.texts)
    assert "training_top1" in read_header(trained.model_path).figures


def test_behind_a_frozen_backbone_each_video_is_read_once(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    class CountedVideo(Video):
        def __init__(self, path: Path, *arguments: Any, **options: Any) -> None:
            opened.append(path.name)
            super().__init__(path, *arguments, **options)

    monkeypatch.setattr("videoclf.media.reader.Video", CountedVideo)
    videoclf.train(
        small_data, out=tmp_path / "run", recipe="tiny", split="none",
        overrides=["backbone.frozen=true", "training.epochs=3", "training.horizontal_flip=true"],
    )  # fmt: skip
    judged = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert judged["judged_on"] == "validation"
    num_looked_for_leaks, num_pictures = 9, judged["num_clips"]
    assert len(opened) == num_looked_for_leaks + 9 + judged["num_clips"] + judged["num_failed"] + num_pictures


def own_backbone() -> ClipBackbone:
    network = nn.Sequential(nn.Conv3d(3, 8, 3, (2, 4, 4), 1), nn.BatchNorm3d(8), nn.ReLU())
    return ClipBackbone(network, 8, temporal_stride=2)


def test_a_backbone_of_ones_own_is_trained_kept_and_loaded(small_data: Path, tmp_path: Path) -> None:
    run = videoclf.train(small_data, out=tmp_path / "run", recipe="tiny", overrides=SHORT, backbone=own_backbone())
    clip = small_data / "Long" / "v_Long_g01_c01.avi"
    with pytest.raises(ModelFileInvalidError, match=r"backbone.name = 'custom'.* videoclf.load\(..., backbone=...\)"):
        videoclf.load(run.folder)
    again = videoclf.train(
        small_data, out=tmp_path / "again", init=run.folder, overrides=SHORT, backbone=own_backbone()
    )
    assert again.folder == tmp_path / "again"
    model = videoclf.load(run.folder, backbone=own_backbone())
    assert model.recipe.backbone.temporal_stride == 2
    assert len(model.features(clip)) == -(-model.predict(clip).num_frames // 2)


@pytest.mark.usefixtures("large_memory")
def test_a_kinetics_model_by_name_is_a_start(small_data: Path, tmp_path: Path, plant_weights: PlantWeights) -> None:
    theirs = plant_weights("mc3_18")
    out = tmp_path / "run"
    overrides = ["training.epochs=1", "training.learning_rate=1e-9", "sampling.max_frames=2", "sampling.fps=2"]
    videoclf.train(small_data, out=out, init="kinetics400-mc3_18", overrides=overrides, device="cpu")
    kept = load_file(out / "model.safetensors")
    torch.testing.assert_close(kept["backbone.network.stem.0.weight"], theirs["stem.0.weight"])
    assert kept["head.1.weight"].shape == (2, 512)
    assert load_recipe(out / "recipe.toml").description == "Started from kinetics400-mc3_18."


def test_what_the_official_lists_name_and_the_data_lack_is_kept_by_name(small_data: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    names = [f"{label}/v_{label}_g{group:02}_c01.avi" for group in range(1, 6) for label in ("Long", "Short")]
    (lists / "trainlist01.txt").write_text("\r\n".join(f"{name} 1" for name in names[:6]))
    (lists / "testlist01.txt").write_text("\r\n".join(names[6:]))
    notes = Notes()
    run = videoclf.train(
        small_data, out=tmp_path / "run", recipe="tiny", overrides=SHORT, split="official:1", split_files=lists,
        progress=notes,
    )  # fmt: skip
    missing = ["Long/v_Long_g05_c01", "Short/v_Short_g05_c01"]
    assert json.loads((run.folder / "split.json").read_text())["missing"] == missing
    assert json.loads((run.folder / "metrics.json").read_text())["split"]["num_missing"] == 2
    assert any(text.startswith("2 clips of the official lists are missing: Long/v_Long_g05") for text in notes.texts)


def test_what_cannot_be_is_said_before_anything_is_written(small_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(RecipeInvalidError, match="unknown key 'training.epoch'"):
        videoclf.train(small_data, out=out, recipe="tiny", overrides=["training.epoch=3"])
    with pytest.raises(RecipeInvalidError, match=r"no recipe 'tyni': it is neither a file nor one of .*tiny"):
        videoclf.train(small_data, out=out, recipe="tyni")
    with pytest.raises(DatasetInvalidError, match="no such folder or list"):
        videoclf.train(tmp_path / "gone", out=out, recipe="tiny")
    with pytest.raises(WeightsUnavailableError, match="no such file"):
        videoclf.train(small_data, out=out, recipe="tiny", overrides=["backbone.weights=gone.safetensors"])
    assert not out.exists()


def test_classes_that_no_model_can_have_are_named(tmp_path: Path) -> None:
    for label in ("walk", "ru\nn"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for group in range(1, 5):
            write_clip(tmp_path / "data" / label / f"v_g0{group}_c01.avi", 5)
        out = tmp_path / "run"
        expected = (
            "only one class, 'walk'; add clips of another"
            if label == "walk"
            else r"'ru\\nn' is empty, .*cannot be printed"
        )
        with pytest.raises(DatasetInvalidError, match=expected):
            videoclf.train(tmp_path / "data", out=out, recipe="tiny")
        assert not out.exists()


def test_a_folder_that_is_a_file_is_named(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(RunFolderUnusableError, match=r"run: cannot be written \(.*run is a file\)"):
        videoclf.train(small_data, out=tmp_path / "run", recipe="tiny")


@pytest.fixture
def leaking_data(small_data: Path, tmp_path: Path) -> Path:
    """The same, and a clip of the test part once more in another group, cut and encoded anew."""
    folder = tmp_path / "leaking"
    shutil.copytree(small_data, folder)
    write_clip(folder / "Long" / "v_Long_g01_c03.mkv", 20, first_number=64 * 4)
    return folder


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")],
)
def test_where_memory_runs_out_the_recipes_keys_are_named(
    small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fill(*_: object) -> None:
        raise error

    monkeypatch.setattr("videoclf.training.loop.trainer.Loss.__call__", fill)
    with pytest.raises(MemoryExhaustedError, match=r"memory ran out with batches of 8 clips .*; lower training.batch"):
        videoclf.train(small_data, out=tmp_path, recipe="tiny", overrides=SHORT, device="cpu")


def test_a_leaking_split_is_refused_before_anything_is_written(leaking_data: Path, tmp_path: Path) -> None:
    pair = r"near-duplicate: .*v_Long_g01_c03.mkv \((train|validation)\) and .*v_Long_g04_c01.avi \(test\)"
    expected = f"{pair}.*allow_leaks=True"
    with pytest.raises(SplitLeaksError, match=expected):
        videoclf.train(leaking_data, out=tmp_path / "run", recipe="tiny", overrides=SHORT, split="leave-out:g04")
    assert not (tmp_path / "run").exists()


def test_a_leaking_split_may_be_allowed(leaking_data: Path, tmp_path: Path) -> None:
    notes = Notes()
    videoclf.train(
        leaking_data, out=tmp_path / "run", recipe="tiny", overrides=SHORT, split="leave-out:g04", allow_leaks=True,
        progress=notes,
    )  # fmt: skip
    assert any("split='leave-out:g04' leaks" in text for text in notes.texts)


def test_of_many_clips_only_groups_and_equal_files_are_looked_for(
    leaking_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoclf.data_check.leak_search.scan", None)  # would fail if it were called
    parts = make_split(load_dataset(leaking_data), "leave-out:g04")
    assert find_leaks([parts], max_clips=9) == LeakSearch(((),), has_near_duplicates_checked=False)


@pytest.mark.skipif("actions16" not in model_names(), reason="needs the embedded default model")
def test_the_default_recipe_starts_from_the_embedded_backbone(small_data: Path, tmp_path: Path) -> None:
    run = videoclf.train(small_data, out=tmp_path / "run", overrides=["training.epochs=1", "sampling.fps=3"])
    mine = videoclf.load(run.folder, engine="torch").features(small_data / "Long" / "v_Long_g01_c01.avi")
    assert mine.shape[1] == 3 * (1280 + 9 * 96)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "low", "high"),
    [
        ((), 0.95, 1.0),
        (("sampling.order=shuffled",), 0.0, 0.25 + 2 * (0.25 * 0.75 / 72) ** 0.5),
        (("temporal.kind=mean",), 0.0, 0.25 + 2 * (0.25 * 0.75 / 72) ** 0.5),
    ],
    ids=["in order", "shuffled", "mean"],
)
def test_the_recurrent_part_is_what_tells_orders_apart(
    demo_folder: Path, tmp_path: Path, overrides: tuple[str, ...], low: float, high: float
) -> None:
    metrics = videoclf.train(demo_folder, out=tmp_path / "run", recipe="tiny", overrides=overrides).metrics
    assert metrics.num_clips == 72
    assert low <= metrics.top1 <= high


PLACED = (*SHORT, "training.batch_size=2", "training.accumulate=3", "temporal.input_norm=standardise")


@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        (("training.weight_average=0.9",), "backbone[:2]=cpu:0,backbone[2:]=cpu:1,head=cpu:2"),
        (("training.layer_decay=0.7", "backbone.trainable_stages=2"), "backbone[:2]=cpu:0,backbone[2:]=cpu:1"),
        (("backbone.frozen=true", "training.refit=true"), "backbone=cpu:0,temporal=cpu:1"),
    ],
)
def test_parts_on_several_devices_learn_what_the_whole_would(
    overrides: tuple[str, ...], place: str, small_data: Path, tmp_path: Path
) -> None:
    whole, parts = (
        videoclf.train(
            small_data, out=tmp_path / f"{number}" / "run", recipe="tiny", overrides=(*PLACED, *overrides),
            split="leave-out:g04", feature_cache=None, **where,  # type: ignore[arg-type]
        )
        for number, where in enumerate(({"device": "cpu"}, {"place": place}))
    )  # fmt: skip
    weights = load_file(whole.model_path)
    for name, tensor in load_file(parts.model_path).items():
        torch.testing.assert_close(tensor, weights[name], atol=1e-5, rtol=1e-5)
    sys.stdout.write(
        f"\n{place} and one device: weights differ by {largest_difference(whole.model_path, parts.model_path):.1e}\n"
    )
    clip = next(small_data.glob("Short/*.avi"))
    expected, found = (
        videoclf.load(whole.folder, **where).predict(clip)  # type: ignore[arg-type]
        for where in ({"device": "cpu"}, {"place": place})
    )
    assert [entry.score for entry in found.labels] == pytest.approx([e.score for e in expected.labels], abs=1e-5)


def test_parts_train_in_one_process(small_data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageInvalidError, match="device_map: the parts of one network run in one process; omit num_devices"
    ):
        videoclf.train(
            small_data, out=tmp_path / "run", recipe="tiny", num_devices=2, device_map="backbone=cpu:0,temporal=cpu:1"
        )
