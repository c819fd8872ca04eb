"""A model that meets clips it was trained on, by content and by path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import write_clip
from videoclf.data.dataset import LabelledClip, load_dataset
from videoclf.errors import ResultsInvalidError, UsageInvalidError
from videoclf.evaluation.metrics import Metrics
from videoclf.evaluation.trained_on import find_trained_on, hash_clips, read_run_split
from videoclf.inference.export.export import export
from videoclf.inference.model import load
from videoclf.modeling.checkpoint import load_model, save_model
from videoclf.recipe.header import read_header
from videoclf.results.evaluate import evaluate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, label in enumerate(("Clockwise", "Counterclockwise")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for group in range(1, 4):
            path = tmp_path / "data" / label / f"v_{label}_g0{group}_c01.avi"
            write_clip(path, 4, first_number=32 * group + 512 * number)
    return tmp_path / "data"


@pytest.fixture
def clips(data: Path) -> tuple[LabelledClip, ...]:
    return load_dataset(data).clips


def model_of(tiny_model: Path, path: Path, trained: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_model(path, *load_model(tiny_model), trained)
    return path


def run_of(tiny_model: Path, folder: Path, clips: tuple[LabelledClip, ...], pattern: str | None = None) -> Path:
    """As an older version left it: its model knows no clips."""
    model_of(tiny_model, folder / "model.safetensors", [])
    paths = [str(clip.path) for clip in clips]
    split = {"spec": "leave-out:g03", "train": paths[:1], "validation": paths[1:2], "test": paths[2:]}
    (folder / "split.json").write_text(json.dumps({**split, "group_pattern": pattern}))
    (folder / "report.html").touch()
    return folder


def measured(model: Path, data: Path, **options: str) -> tuple[Metrics, list[str]]:
    notices: list[str] = []
    return evaluate(model, data, progress=notices.append, **options), notices  # type: ignore[arg-type]


def test_the_file_knows_its_clips_wherever_they_lie(
    tmp_path: Path, tiny_model: Path, clips: tuple[LabelledClip, ...]
) -> None:
    model = model_of(tiny_model, tmp_path / "model", hash_clips(clips[:2]))
    moved = [LabelledClip(tmp_path / f"{i}.avi", clip.label, None) for i, clip in enumerate(clips)]
    for clip, other in zip(clips, moved, strict=True):
        clip.path.rename(other.path)
    assert find_trained_on(load(model), moved) == [True, True, False, False, False, False]


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_exported_model_knows_its_clips(
    tmp_path: Path, tiny_model: Path, clips: tuple[LabelledClip, ...], suffix: str
) -> None:
    for package in ("onnxscript", "onnxruntime") if suffix == ".onnx" else ("openvino",):
        pytest.importorskip(package, reason="needs an extra: pip install 'videoclf[onnx,cpu]'")
    exported = tmp_path / f"exported{suffix}"
    export(model_of(tiny_model, tmp_path / "model", hash_clips(clips[:2])), exported)
    assert find_trained_on(load(exported), clips) == [True, True, False, False, False, False]


def test_a_model_that_openvino_runs_knows_the_clips_of_its_file(
    tmp_path: Path, tiny_model: Path, clips: tuple[LabelledClip, ...]
) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'videoclf[cpu]'")
    model = model_of(tiny_model, tmp_path / "model", hash_clips(clips[:2]))
    assert find_trained_on(load(model, engine="openvino"), clips)[:3] == [True, True, False]


def test_a_file_with_clips_is_read_as_ever(tmp_path: Path, tiny_model: Path) -> None:
    model = model_of(tiny_model, tmp_path / "model", ["A" * 16])
    assert read_header(model) == read_header(tiny_model)


def test_a_run_knows_its_clips_by_path(tmp_path: Path, tiny_model: Path, clips: tuple[LabelledClip, ...]) -> None:
    run = run_of(tiny_model, tmp_path / "run", clips)
    assert find_trained_on(load(run), clips) == [True, True, False, False, False, False]


def test_both_figures_are_given(tmp_path: Path, tiny_model: Path, data: Path, clips: tuple[LabelledClip, ...]) -> None:
    model = model_of(tiny_model, tmp_path / "model", hash_clips(clips[:2]))
    metrics, notices = measured(model, data)
    new = metrics.without_trained_on
    assert new is not None
    assert (metrics.num_clips, metrics.num_trained_on, new.num_clips) == (6, 2, 4)
    assert notices == [
        "2 of 6 clips were in training (or validation) of this model; without them: "
        f"top-1 {new.top1:.3f} ({new.num_correct} of 4)"
    ]


def test_where_every_clip_was_trained_on_there_is_no_other_figure(
    tmp_path: Path, tiny_model: Path, data: Path, clips: tuple[LabelledClip, ...]
) -> None:
    metrics, (notice,) = measured(model_of(tiny_model, tmp_path / "model", hash_clips(clips)), data)
    assert (metrics.num_trained_on, metrics.without_trained_on) == (6, None)
    assert "6 of 6 clips were in training (or validation) of this model: the figures say nothing" in notice


def test_of_new_clips_nothing_is_said(tmp_path: Path, tiny_model: Path, data: Path) -> None:
    metrics, notices = measured(model_of(tiny_model, tmp_path / "model", ["A" * 16]), data)
    assert (metrics.num_trained_on, metrics.without_trained_on, notices) == (0, None, [])


def test_the_runs_own_split_and_pattern_are_taken(
    tmp_path: Path, tiny_model: Path, data: Path, clips: tuple[LabelledClip, ...]
) -> None:
    run = run_of(tiny_model, tmp_path / "run", clips, pattern=r"_(g\d+)")
    for model in (run, run / "model.safetensors"):
        metrics, notices = measured(model, data, split="run")
        assert metrics.num_clips == 2
        assert notices[0] == r"groups are found as in the run: group_regex='_(g\\d+)'"
        remade = f"split='run': {data} is not the dataset of the run; its split, leave-out:g03, is made again from it"
        assert remade in notices  # the run's own test part were clips 2 to 5


def test_a_run_is_known_again_from_another_folder_and_where_its_clips_have_moved(
    tmp_path: Path, tiny_model: Path, data: Path, clips: tuple[LabelledClip, ...]
) -> None:
    run = run_of(tiny_model, tmp_path / "run", clips)
    tree = json.loads((run / "split.json").read_text())
    tree["test"] = [str(clip.path.relative_to(tmp_path)) for clip in clips if clip.group == "g03"]
    (run / "split.json").write_text(json.dumps(tree))
    data.rename(tmp_path / "moved")
    assert not any("made anew" in notice for notice in measured(run, tmp_path / "moved", split="run")[1])


def test_a_run_that_is_not_finished_is_reported(
    tmp_path: Path, tiny_model: Path, data: Path, clips: tuple[LabelledClip, ...]
) -> None:
    run = run_of(tiny_model, tmp_path / "run", clips)
    (run / "report.html").unlink()
    notice = measured(run, data)[1][0]
    assert (
        notice == f"{run}: its run is not finished; the model is the best one so far, and its scores are not calibrated"
    )


def test_a_model_without_a_run_has_no_split_of_its_own(tiny_model: Path, data: Path) -> None:
    with pytest.raises(
        UsageInvalidError, match=r"split='run': .* is not a run's folder; name the split, such as group:0"
    ):
        evaluate(tiny_model, data, split="run")


def test_clips_that_the_data_give_to_parts_are_all_evaluated_and_that_is_said(
    tmp_path: Path, tiny_model: Path, data: Path
) -> None:
    (tmp_path / "parts").mkdir()
    data.rename(tmp_path / "parts" / "test")
    metrics, (notice,) = measured(tiny_model, tmp_path / "parts")
    assert metrics.num_clips == 6
    assert notice.endswith("all of them are evaluated; to evaluate on its test part only: split='given'")
    assert measured(tiny_model, tmp_path / "parts", split="given")[0].num_clips == 6


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"spec": 1, "train": 2}'])
def test_a_damaged_split_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(ResultsInvalidError, match=r"split\.json: cannot be read"):
        read_run_split(tmp_path)
