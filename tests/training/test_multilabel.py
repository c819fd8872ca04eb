"""Clips with several labels, from a list to a model that predicts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from typer.testing import CliRunner

import videoclf
from tests.conftest import write_clip
from videoclf.cli.main import app
from videoclf.data.dataset import load_dataset
from videoclf.data.splits import make_split
from videoclf.errors import DatasetInvalidError, UsageInvalidError
from videoclf.recipe.training import Training
from videoclf.results.evaluate import evaluate
from videoclf.results.reader import read_result
from videoclf.training.loop.loss import Loss, label_weights
from videoclf.training.run.folder import Run

COMBINATIONS = ("left", "left|right", "right", "right|up", "up")
OVERRIDES = ("training.objective=sigmoid", "training.epochs=2", "sampling.fps=4", "training.class_balance=loss")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    rows = []
    for group in range(1, 6):
        for number, labels in enumerate(COMBINATIONS):
            name = f"v_g{group:02}_c{number}.avi"
            write_clip(folder / name, 10 + number, first_number=64 * group + 8 * number)
            rows.append(f"{name},{labels}")
    (folder / "list.csv").write_text("\n".join(rows))
    return folder / "list.csv"


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "several"
    return videoclf.train(data, out=out, recipe="tiny", overrides=OVERRIDES, split="leave-out:g05", allow_leaks=True)


def test_a_run_learns_each_label_and_says_how_well(run: Run) -> None:
    figures = json.loads((run.folder / "metrics.json").read_text())
    assert list(figures["per_class"]) == ["left", "right", "up"]
    assert 0 < figures["mean_average_precision"] <= 1
    assert figures["num_clips"] == 5
    assert [row["num_clips"] for row in figures["per_class"].values()] == [2, 3, 2]
    assert "mean average precision" in (run.folder / "report.html").read_text()


def test_the_model_file_knows_it_and_scores_labels_by_themselves(run: Run, data: Path) -> None:
    model = videoclf.load(run.folder, device="cpu")
    assert model.header.objective == "sigmoid"
    predictions = list(model.predict_many(sorted(data.parent.glob("*_g05_*.avi"))))
    sums = [sum(entry.score for entry in p.labels) for p in predictions if isinstance(p, videoclf.Prediction)]
    assert len(sums) == 5
    assert any(abs(total - 1) > 1e-3 for total in sums)
    for prediction in predictions:
        assert isinstance(prediction, videoclf.Prediction)
        assert prediction.uncertain == (prediction.score < model.header.calibration.threshold)


def test_evaluate_gives_the_runs_own_figures(run: Run, data: Path) -> None:
    model = videoclf.load(run.folder, engine="torch", device="cpu")  # that judged the run; others differ by rounding
    assert evaluate(model, data, split="leave-out:g05") == run.metrics


def test_the_command_line_goes_all_the_way(run: Run, data: Path) -> None:
    said = CliRunner().invoke(app, ["evaluate", str(run.folder), str(data), "--json"])
    assert json.loads(said.stdout)["mean_average_precision"] > 0
    said = CliRunner().invoke(app, ["predict", str(data.parent / "v_g01_c0.avi"), "--model", str(run.folder), "--json"])
    assert len(json.loads(said.stdout)["labels"]) == 3


def test_every_fold_in_turn(data: Path, tmp_path: Path) -> None:
    settings: Any = {"recipe": "tiny", "overrides": OVERRIDES, "num_folds": 2, "allow_leaks": True, "device": "cpu"}
    metrics = videoclf.crossval(data, out=tmp_path / "cv", **settings)
    assert metrics.labels == ("left", "right", "up")
    assert metrics.pooled.num_clips == 25
    assert metrics.mean_average_precision is not None
    assert metrics.mean_average_precision.mean == metrics.pooled.mean_average_precision
    lines = [json.loads(line) for line in (tmp_path / "cv" / "predictions.jsonl").read_text().splitlines()]
    assert Counter(tuple(line["truth"]) for line in lines)["left", "right"] == 5
    assert sum(line["called"] in line["truth"] for line in lines) == metrics.pooled.num_correct
    again = videoclf.crossval(data, out=tmp_path / "cv", **settings)  # read back
    assert again.top1 == metrics.top1
    records = read_result(tmp_path / "cv").clips
    assert sum(sum(record.were_correct) for record in records.values()) == metrics.pooled.num_correct


@pytest.mark.parametrize("more", [{"baseline": "ridge"}, {"unknown": ["left"]}])
def test_what_takes_one_class_a_clip_is_refused(data: Path, tmp_path: Path, more: Any) -> None:
    with pytest.raises(UsageInvalidError, match=f"^{next(iter(more))} requires that each clip has one class; omit it"):
        videoclf.crossval(data, out=tmp_path / "cv", recipe="tiny", overrides=OVERRIDES, **more)


def test_a_label_that_the_model_does_not_know_is_named(run: Run, tmp_path: Path, data: Path) -> None:
    (tmp_path / "list.csv").write_text(f"{data.parent / 'v_g01_c0.avi'},left|down\n")
    with pytest.raises(DatasetInvalidError, match="its class 'down' is unknown to several"):
        evaluate(run.folder, tmp_path / "list.csv", device="cpu")


def test_splits_part_groups_and_count_labels_one_by_one(data: Path) -> None:
    parts = make_split(load_dataset(data), "group:0")
    sides = [{clip.group for clip in part} for part in (parts.train, parts.validation, parts.test)]
    assert sum(map(len, sides)) == 5
    for part in (parts.validation, parts.test):
        assert {name for clip in part for name in clip.names} == {"left", "right", "up"}


def test_the_loss_is_each_labels_binary_cross_entropy() -> None:
    logits, truth = torch.randn(4, 3), torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 0, 1], [0, 0, 1]])
    loss = Loss(Training(objective="sigmoid"), truth, has_soft_targets=False)(logits, truth)
    torch.testing.assert_close(loss, binary_cross_entropy_with_logits(logits, truth))
    torch.testing.assert_close(label_weights(truth), torch.tensor([3.0, 3.0, 1 / 3]))
    smoothed = Loss(Training(objective="sigmoid", label_smoothing=0.2), truth, has_soft_targets=True)(logits, truth)
    torch.testing.assert_close(smoothed, binary_cross_entropy_with_logits(logits, truth * 0.8 + 0.1))
