"""Reading, batching and averaging, with an engine that counts instead of thinking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import read_number, write_clip
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.pipeline import average_windows, predict_clips, softmax
from videoclf.inference.prediction import Failure, Prediction
from videoclf.media.reader import Chunks
from videoclf.recipe.header import Calibration, ModelHeader
from videoclf.recipe.recipe import Recipe


class CountingEngine:
    """Sees the numbers of frames; its logit of class 0 is the first number of a window, of class 1 the count."""

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def preprocess(self, chunks: Chunks) -> list[int]:
        return [read_number(rgb) for chunk in chunks for rgb in chunk.rgb]

    def logits(self, windows: Sequence[list[int]]) -> Float32Array:
        self.batch_sizes.append(len(windows))
        return np.array([[window[0], len(window)] for window in windows], dtype=np.float32)

    @property
    def computes_on(self) -> str:
        return "paper"

    def features(self, window: list[int]) -> Float32Array:
        return np.array([[number] for number in window], dtype=np.float32)


def header(max_frames: int = 64, threshold: float = 0.0) -> ModelHeader:
    recipe = Recipe.model_validate({"sampling": {"fps": 25, "max_frames": max_frames}})
    return ModelHeader(
        name="counter", recipe=recipe, labels=("first", "count"), calibration=Calibration(threshold=threshold)
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{n:02}.avi", n) for n in (30, 1, 70, 12, 40)]


def predict(paths: list[Path], header: ModelHeader, engine: CountingEngine | None = None) -> list[Prediction | Failure]:
    return list(predict_clips(engine or CountingEngine(), header, paths, num_threads=3))


def test_predictions_keep_the_order_of_the_paths_with_failures_in_their_place(clips: list[Path]) -> None:
    paths = [clips[0], Path("gone.avi"), *clips[1:]]
    outcomes = predict(paths, header())
    assert [outcome.source for outcome in outcomes] == [str(path) for path in paths]
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [False, True, False, False, False, False]


def test_the_network_sees_every_window_of_a_long_clip(clips: list[Path]) -> None:
    outcome = predict([clips[2]], header(max_frames=32))[0]
    assert isinstance(outcome, Prediction)
    assert outcome.num_frames == 70
    expected = average_windows(
        [np.array([0, 24], np.float32), np.array([24, 23], np.float32), np.array([47, 23], np.float32)],
        [24, 23, 23],
        1.0,
    )
    assert {entry.label: entry.score for entry in outcome.labels} == pytest.approx(
        dict(zip(("first", "count"), expected.tolist(), strict=True))
    )


def test_short_clips_share_a_batch(clips: list[Path]) -> None:
    engine = CountingEngine()
    predict([clips[3]] * 10, header(), engine)
    assert engine.batch_sizes == [10]


def test_batches_are_bounded_in_frames(clips: list[Path]) -> None:
    engine = CountingEngine()
    predict([clips[4]] * 20, header(), engine)
    assert sum(engine.batch_sizes) == 20
    assert max(engine.batch_sizes) <= 4


def test_a_score_below_the_threshold_is_uncertain(clips: list[Path]) -> None:
    outcome = predict([clips[1]], header(threshold=0.9))[0]
    assert isinstance(outcome, Prediction)
    assert outcome.score == pytest.approx(softmax(np.array([0.0, 1.0])).max())
    assert outcome.uncertain


def test_repeated_frames_are_a_warning(tmp_path: Path) -> None:
    outcome = predict([write_clip(tmp_path / "slow.avi", 4, fps=5)], header())[0]
    assert isinstance(outcome, Prediction)
    assert outcome.warnings == ("16 of 20 frames are repeated: the video has only 5 frames a second",)


def test_no_paths_give_nothing() -> None:
    assert predict([], header()) == []


def test_windows_weigh_by_their_frames() -> None:
    mean = average_windows([np.array([9, -9], np.float32), np.array([-9, 9], np.float32)], [30, 10], 1.0)
    assert mean == pytest.approx([0.75, 0.25], abs=1e-6)


def test_a_temperature_flattens() -> None:
    logits = [np.array([2, 0], np.float32)]
    assert average_windows(logits, [1], 2.0) == pytest.approx(softmax(np.array([1.0, 0.0])))
