"""``recipe="auto"``: which features are tried, and which are chosen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import videoclf
from tests.conftest import write_clip
from videoclf.data.dataset import LabelledClip
from videoclf.errors import DatasetInvalidError, UsageInvalidError
from videoclf.progress import SilentProgress
from videoclf.recipe.toml_io import load_recipe
from videoclf.training.run import auto_recipe
from videoclf.training.run.auto_recipe import Candidate, FeatureSearch, auto_candidates

CLIPS = [LabelledClip(Path(f"{i}.avi"), "walk", None) for i in range(8)]
TINY = (
    "backbone.name=tiny", "backbone.weights=none", "backbone.intermediate_stage_from_top=", "training.epochs=1",
    "sampling.fps=4", "augment.crop_scale_min=",
)  # fmt: skip


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


class FakeProbe:
    """Takes no time, or as much as it is told, and finds a likelihood."""

    def __init__(self, nll: float | None, clock: list[float], seconds_a_clip: float = 0.0) -> None:
        self._nll, self._clock, self._seconds = nll, clock, seconds_a_clip
        self.num_fitted = 0

    def read(self, clips: list[LabelledClip]) -> None:
        self._clock[0] += self._seconds * len(clips)

    def fit(self, clips: list[LabelledClip]) -> Any:
        self.num_fitted = len(clips)
        return None if self._nll is None else SimpleNamespace(ridge=SimpleNamespace(nll=self._nll))


def search(
    monkeypatch: pytest.MonkeyPatch, *nlls: float | None, seconds: tuple[float, ...] = ()
) -> tuple[FeatureSearch, Notes, list[FakeProbe]]:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    candidates = [Candidate(f"kind {i}", None) for i in range(len(nlls))]  # type: ignore[arg-type]
    probes = [FakeProbe(nll, clock, each) for nll, each in zip(nlls, seconds or [0.0] * len(nlls), strict=True)]
    notes = Notes()
    of = {candidate.name: probe for candidate, probe in zip(candidates, probes, strict=True)}
    return FeatureSearch(candidates, lambda each: of[each.name], notes, 100.0), notes, probes  # type: ignore[arg-type,return-value]


def test_the_most_likely_is_chosen_and_all_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = search(monkeypatch, 0.7, 0.4, 0.5)[0].choose(CLIPS)
    assert choice.candidate.name == "kind 1"
    assert choice.line.endswith("kind 0 0.700, kind 1 0.400, kind 2 0.500")


def test_the_time_is_said_before_and_what_would_take_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found, notes, probes = search(monkeypatch, 0.7, 0.1, 0.5, seconds=(1.0, 20.0, 4.0))
    found.plan(CLIPS)
    assert notes.texts == [
        "recipe='auto': 2 kinds of features of 8 clips: about 40 s; left out, because all would take more than about "
        "2 min: kind 1 (about 3 min)"
    ]
    assert found.choose(CLIPS).candidate.name == "kind 2"
    assert [probe.num_fitted for probe in probes] == [8, 0, 8]


def test_the_first_is_tried_however_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, _ = search(monkeypatch, 0.7, 0.1, seconds=(1000.0, 1.0))
    found.plan(CLIPS)
    assert found.choose(CLIPS).candidate.name == "kind 0"


def test_without_a_clip_that_can_be_read_there_is_no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetInvalidError, match="not one of the 8 clips to train on could be read"):
        search(monkeypatch, None)[0].choose(CLIPS)


def test_overrides_come_last_and_equal_recipes_once() -> None:
    every = auto_candidates(None, ["training.epochs=3"], print)
    assert [each.recipe.preprocess.height for each in every] == [128, 160, 224]
    assert {each.recipe.training.epochs for each in every} == {3}
    sized = auto_candidates(None, ["preprocess.height=96", "preprocess.width=96"], print)
    assert [each.name for each in sized] == ["128×128, all channels", "224×224, RGB and differences"]


def test_what_it_cannot_choose_among_is_refused() -> None:
    with pytest.raises(UsageInvalidError, match="recipe='auto': chooses among features of a frozen backbone"):
        auto_candidates(None, ["backbone.frozen=false", "head.ridge=false"], print)
    with pytest.raises(UsageInvalidError, match="recipe='auto': init brings its own recipe"):
        auto_candidates("actions16", [], print)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("auto")
    for label, num_frames in (("Long", 20), ("Short", 5)):
        (folder / label).mkdir()
        for group in range(1, 5):
            path = folder / label / f"v_{label}_g{group:02}_c01.avi"
            write_clip(path, num_frames + group, first_number=64 * group + 512 * (num_frames > 9))
    return folder


@pytest.mark.usefixtures("without_reports")
def test_a_run_keeps_the_recipe_that_was_chosen_and_goes_on_with_it(data: Path, tmp_path: Path) -> None:
    notes = Notes()
    run = videoclf.train(
        data, out=tmp_path / "run", recipe="auto", overrides=TINY, split="leave-out:g04", device="cpu", progress=notes
    )
    [line] = [text for text in notes.texts if text.startswith("chosen features: ")]
    recipe = load_recipe(run.folder / "recipe.toml")
    assert f"{recipe.preprocess.height}×" in line.partition(";")[0]
    assert sum("kinds of features of 6 clips" in text for text in notes.texts) == 1
    again = videoclf.train(
        data, out=tmp_path / "run", recipe="auto", overrides=TINY, split="leave-out:g04", device="cpu", resume=True
    )
    assert again.metrics == run.metrics


@pytest.mark.usefixtures("without_reports")
def test_each_fold_chooses_on_its_training_side(data: Path, tmp_path: Path) -> None:
    records = []
    videoclf.crossval(
        data, out=tmp_path / "cv", recipe="auto", overrides=TINY, device="cpu", num_folds=2, num_seeds=2,
        on_fold=lambda record, _num_done, _num_folds: records.append(record),
    )  # fmt: skip
    assert len(records) == 4
    chosen = {(record.fold, record.features) for record in records}
    assert len(chosen) == 2  # the same for both seeds of a fold
    assert all(features in auto_recipe._KINDS for _, features in chosen)
