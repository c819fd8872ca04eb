"""Cross-validation: every clip judged once a seed by a network that never saw its group; resumable."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import videoclf
from tests.conftest import write_clip
from videoclf.cross_validation.crossval import crossval
from videoclf.errors import (
    DatasetInvalidError,
    ModelFileInvalidError,
    ResultsInvalidError,
    RunFolderUnusableError,
    SplitLeaksError,
    UsageInvalidError,
    WeightsUnavailableError,
)
from videoclf.evaluation.cross_validated import CrossvalMetrics, FoldRecord, pool
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.progress import SilentProgress
from videoclf.results.reader import read_result

SHORT = ("training.epochs=2", "sampling.fps=4", "backbone.frozen=true")
LABELS = ("Long", "Mid", "Short")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes in four groups; what tells them apart is their length; one clip is broken."""
    folder = tmp_path_factory.mktemp("data")
    for row, (label, num_frames) in enumerate(zip(LABELS, (30, 18, 6), strict=True)):
        (folder / label).mkdir()
        for group in range(1, 5):
            path = folder / label / f"v_{label}_g{group:02}_c01.avi"
            write_clip(path, num_frames + group, first_number=64 * (4 * row + group))
    (folder / "Long" / "v_Long_g01_c02.avi").write_bytes(b"RIFF....AVI broken")
    return folder


class Counting:
    """Counts the folds that were run."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.records: list[FoldRecord] = []
        self._stop_after = stop_after

    def __call__(self, record: FoldRecord, _num_done: int, _num_folds: int) -> None:
        self.records.append(record)
        if len(self.records) == self._stop_after:
            raise KeyboardInterrupt


class Noting(SilentProgress):
    """Keeps what a user would read."""

    def __init__(self, notices: list[str]) -> None:
        self._notices = notices

    def notice(self, text: str) -> None:
        self._notices.append(text)


Run = Callable[..., CrossvalMetrics]


def run(data: Path, out: Path, counting: Counting, **more: object) -> CrossvalMetrics:
    settings: dict[str, object] = {"recipe": "tiny", "overrides": SHORT, "device": "cpu"} | more
    return crossval(data, out=out, on_fold=counting, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CrossvalMetrics, Counting]:
    out = tmp_path_factory.mktemp("crossval") / "first"
    counting = Counting()
    return out, run(data, out, counting, num_seeds=2), counting


def test_every_readable_clip_is_judged_once_a_seed(done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    lines = [json.loads(line) for line in (done[0] / "predictions.jsonl").read_text().splitlines()]
    assert Counter(Counter((line["source"], line["seed"]) for line in lines).values()) == {1: 24}
    assert all(line["fold"] == line["group"] for line in lines)


def test_a_broken_clip_is_counted_and_named(done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    assert done[1].pooled.num_failed == 2  # once a seed
    assert {Path(clip.source).name for clip in done[1].pooled.failed} == {"v_Long_g01_c02.avi"}


def test_figures_are_those_of_the_predictions(done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    out, metrics, counting = done
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    for seed, top1 in zip(metrics.seeds, metrics.top1.values, strict=True):
        mine = [line for line in lines if line["seed"] == seed]
        assert top1 == pytest.approx(sum(line["called"] == line["label"] for line in mine) / len(mine))
    assert CrossvalMetrics.model_validate_json((out / "metrics.json").read_text()) == metrics
    assert len(counting.records) == 8


def test_a_linear_probe_is_evaluated_beside_the_network(done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    lines = [json.loads(line) for line in (done[0] / "predictions.jsonl").read_text().splitlines()]
    probe = {line["source"]: line["probe_predicted"] == line["label"] for line in lines}
    beside = done[1].linear_probe
    assert beside is not None
    assert beside.probe_top1 == pytest.approx(sum(probe.values()) / len(probe))
    assert beside.difference == pytest.approx(done[1].top1.mean - beside.probe_top1)
    assert (beside.num_clips, beside.num_units) == (12, 4)
    assert beside.describe() in (done[0] / "report.html").read_text()


def test_the_report_tells_the_spread(done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    html = (done[0] / "report.html").read_text()
    assert f"Top-1 {done[1].top1}" in html


def test_an_interrupted_one_goes_on_and_ends_with_the_same_figures(
    data: Path, tmp_path: Path, done: tuple[Path, CrossvalMetrics, Counting]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path, Counting(stop_after=3), num_seeds=2)
    (torn,) = tmp_path.glob("folds/001-seed0.json")
    torn.write_bytes(torn.read_bytes()[:100])
    rest = Counting()
    metrics = run(data, tmp_path, rest, num_seeds=2)
    assert len(rest.records) == 8 - 3 + 1
    assert metrics.top1 == done[1].top1
    assert metrics.nll.mean == pytest.approx(done[1].nll.mean, abs=1e-6)


def test_done_is_done(data: Path, done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    again = Counting()
    assert run(data, done[0], again, num_seeds=2).top1 == done[1].top1
    assert again.records == []


def test_where_all_features_came_from_is_told_at_the_end(data: Path, tmp_path: Path) -> None:
    notices: list[str] = []
    for name in ("first", "second"):
        run(data, tmp_path / name, Counting(), feature_cache=tmp_path / "cache", progress=Noting(notices))
    told = [text for text in notices if text.startswith("features:")]
    assert [text.partition(" from")[0] for text in told[1::2]] == [
        "features: 0 of 12 clips",
        "features: 12 of 12 clips",
    ]
    assert "; 12 computed (" in told[1]


def test_what_is_done_already_is_told(data: Path, done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    notices: list[str] = []
    run(data, done[0], Counting(), num_seeds=2, progress=Noting(notices))
    assert f"8 of 8 folds are finished and are kept: {done[0]}" in notices


def test_a_folder_that_no_longer_says_what_it_holds_is_not_done_anew_unasked(
    data: Path, done: tuple[Path, CrossvalMetrics, Counting], tmp_path: Path
) -> None:
    out = shutil.copytree(done[0], tmp_path / "copy")
    (out / "crossval.json").write_text("x")
    with pytest.raises(RunFolderUnusableError, match="crossval.json: is damaged, .* or add overwrite=True"):
        run(data, out, Counting())
    assert len(list((out / "folds").iterdir())) == 8


@pytest.mark.parametrize("changed", [{"precision": "bf16-mixed"}, {"reading": ReadOptions(decoder=DecoderName.OPENCV)}])
def test_what_was_done_in_another_way_is_not_taken_for_it(
    data: Path, done: tuple[Path, CrossvalMetrics, Counting], changed: dict[str, object]
) -> None:
    with pytest.raises(RunFolderUnusableError, match="contains a cross-validation of another recipe, of other weights"):
        run(data, done[0], Counting(), num_seeds=2, **changed)


@pytest.mark.parametrize("name", ["metrics.json", "folds/first.json"])
def test_other_figures_are_left_alone_unless_asked(data: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "folds").mkdir()
    (tmp_path / name).write_text("{}")
    with pytest.raises(RunFolderUnusableError) as caught:
        run(data, tmp_path, Counting())
    assert (
        str(caught.value) == f"{tmp_path}: contains other figures ({name}); choose another out, or add overwrite=True"
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


def test_what_is_to_be_replaced_stays_until_there_is_something_else(
    data: Path, done: tuple[Path, CrossvalMetrics, Counting], tmp_path: Path
) -> None:
    out = shutil.copytree(done[0], tmp_path / "copy")
    before = sorted(out.rglob("*"))
    with pytest.raises(ModelFileInvalidError):
        run(data, out, Counting(), overrides=(*SHORT, "training.epochs=1"), overwrite=True, init=data)
    with pytest.raises(WeightsUnavailableError):
        run(data, out, Counting(), overrides=(*SHORT, "backbone.weights=gone.safetensors"), overwrite=True)
    assert sorted(out.rglob("*")) == before
    with pytest.raises(KeyboardInterrupt):
        run(data, out, Counting(stop_after=1), overwrite=True)
    assert [path.name for path in (out / "folds").iterdir()] == ["000-seed0.json"]


def test_a_fold_of_which_nothing_can_be_read_does_not_end_the_ridge(data: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(data, tmp_path / "data")
    (broken / "Long" / "v_Long_g05_c01.avi").write_bytes(b"RIFF....AVI broken, too")
    metrics = run(broken, tmp_path / "cv", Counting(), baseline="ridge")
    assert (metrics.num_folds, metrics.pooled.num_clips, metrics.pooled.num_failed) == (5, 12, 2)


def test_a_file_name_may_be_no_text(data: Path, tmp_path: Path) -> None:
    odd = shutil.copytree(data, tmp_path / "data")
    path = odd / "Long" / "v_Long_g02_c01.avi"
    path.rename(path.with_name(os.fsdecode(b"v_\xff_g02_c01.avi")))
    metrics = run(odd, tmp_path / "cv", Counting(), baseline="ridge")
    counting = Counting()
    assert run(odd, tmp_path / "cv", counting, baseline="ridge") == metrics
    assert counting.records == []


def test_a_cross_validation_is_no_model(done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    with pytest.raises(ModelFileInvalidError, match="is a cross-validation, which contains no model; train one"):
        videoclf.load(done[0])


def test_an_unfinished_one_has_no_figures_yet(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "cv", Counting(stop_after=1))
    with pytest.raises(
        ResultsInvalidError, match="its cross-validation is not finished; run the same crossval command again"
    ):
        read_result(tmp_path / "cv")


def test_a_fold_of_which_no_clip_can_be_read_says_nothing_of_the_spread(
    done: tuple[Path, CrossvalMetrics, Counting],
) -> None:
    records = done[2].records[:4]
    silent = records[0].model_copy(update={"clips": ()})
    assert pool([silent, *records[1:]], LABELS).top1_by_fold == pool(records[1:], LABELS).top1_by_fold


def test_another_recipe_is_not_mixed_in(data: Path, done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    with pytest.raises(RunFolderUnusableError, match="another recipe, of other weights, or of other clips"):
        run(data, done[0], Counting(), overrides=(*SHORT, "temporal.hidden_size=7"))


def test_a_training_run_does_not_take_its_folder(data: Path, done: tuple[Path, CrossvalMetrics, Counting]) -> None:
    with pytest.raises(RunFolderUnusableError, match="contains a cross-validation"):
        videoclf.train(data, out=done[0], recipe="tiny", overrides=SHORT, device="cpu", overwrite=True)
    assert (done[0] / "metrics.json").read_text() == done[1].model_dump_json(indent=2)


def test_the_ridge_baseline_needs_no_epochs(data: Path, tmp_path: Path) -> None:
    counting, notices = Counting(), list[str]()
    metrics = run(data, tmp_path, counting, baseline="ridge", num_seeds=3, progress=Noting(notices))
    assert {record.kept_epoch for record in counting.records} == {0}
    assert metrics.seeds == (0,)
    assert "num_seeds=3: a ridge has no random numbers; it is evaluated once" in notices
    assert read_result(tmp_path).evaluated_on == f"{data}, 4 folds by group, 1 seed, ridge"


def test_the_ridge_makes_no_views_that_it_does_not_look_at(data: Path, tmp_path: Path) -> None:
    views = ("training.horizontal_flip=true", "testing.horizontal_flip=true", "augment.brightness=0.5")
    run(
        data, tmp_path / "ridge", Counting(),
        baseline="ridge", overrides=(*SHORT, *views), feature_cache=tmp_path / "cache",
    )  # fmt: skip
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 12  # clips


def test_unknown_classes_are_never_trained_on_and_judge_the_rejection(data: Path, tmp_path: Path) -> None:
    counting = Counting()
    metrics = run(data, tmp_path, counting, unknown=["Mid"])
    assert metrics.labels == ("Long", "Short")
    assert metrics.rejection is not None
    assert metrics.rejection.num_unknown == 4
    assert metrics.pooled.num_clips == 8
    assert all(len(clip.scores) == 2 for record in counting.records for clip in record.clips)


def test_a_copy_on_two_sides_of_a_fold_is_refused(data: Path, tmp_path: Path) -> None:
    copied = tmp_path / "data"
    for label in LABELS:
        (copied / label).mkdir(parents=True)
        for path in (data / label).glob("*_c01.avi"):
            (copied / label / path.name).write_bytes(path.read_bytes())
    (copied / "Long" / "v_Long_g02_c09.avi").write_bytes((data / "Long" / "v_Long_g01_c01.avi").read_bytes())
    with pytest.raises(SplitLeaksError, match="exact duplicate"):
        run(copied, tmp_path / "out", Counting())


def test_what_cannot_be_is_said_before_anything_is_trained(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageInvalidError, match=r"unknown=\['Flight'\]: .* has no such class"):
        run(data, tmp_path, Counting(), unknown=["Flight"])
    with pytest.raises(DatasetInvalidError, match="leaves 1 classes"):
        run(data, tmp_path, Counting(), unknown=["Long", "Mid"])


def test_it_is_a_public_name() -> None:
    assert videoclf.crossval is crossval


def test_what_kept_folds_do_not_follow_is_said(
    done: tuple[Path, CrossvalMetrics, Counting], data: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(done[0], tmp_path / "again")
    about = json.loads((out / "crossval.json").read_text())
    (out / "crossval.json").write_text(json.dumps(about | {"computes_on": "another machine"}))
    notices: list[str] = []
    run(data, out, Counting(), num_seeds=1, progress=Noting(notices), group_regex=r"_g0(\d)_")
    assert notices[-4:-1] == [
        f"{out}: kept folds were computed on another machine, the others are on {about['computes_on']}",
        f"{out}: contains folds of 1 further seed, which the figures leave out; num_seeds=2 takes them in",
        f"{out}: kept folds were evaluated with other groups than clips have now; for intervals of the new groups, "
        "start again with overwrite=True",
    ]


def test_folds_that_were_kept_before_the_device_was_written_down_are_kept(
    done: tuple[Path, CrossvalMetrics, Counting], data: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(done[0], tmp_path / "again")
    about = json.loads((out / "crossval.json").read_text())
    (out / "crossval.json").write_text(json.dumps({"format_version": 1, "fingerprint": about["fingerprint"]}))
    notices: list[str] = []
    counting = Counting()
    run(data, out, counting, num_seeds=2, progress=Noting(notices))
    assert counting.records == []
    assert not any("computed on" in text for text in notices)
