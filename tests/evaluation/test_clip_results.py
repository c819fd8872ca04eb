from __future__ import annotations

from pathlib import Path

from videoclf.data.dataset import LabelledClip
from videoclf.evaluation.clip_results import (
    ClipResult,
    clip_results,
    lowest_confidence,
    most_confident_errors,
    truths_of,
    warn_of_joined_labels,
)
from videoclf.inference.prediction import ErrorDescription, Failure, LabelScore, Prediction


def result_of(source: str, predicted: str, score: float) -> ClipResult:
    return ClipResult(source, ("walk",), (LabelScore(label=predicted, score=score),))


CLIPS = [
    result_of("a", "run", 0.6),
    result_of("b", "walk", 0.5),
    result_of("c", "run", 0.9),
    result_of("a", "run", 0.7),
]


def test_the_most_confident_error_comes_first_and_each_clip_once() -> None:
    assert [(clip.source, clip.score) for clip in most_confident_errors(CLIPS, 12)] == [("c", 0.9), ("a", 0.7)]
    assert [clip.source for clip in most_confident_errors(CLIPS, 1)] == ["c"]


def test_the_lowest_confidence_comes_first_correct_or_not() -> None:
    assert [(clip.source, clip.score) for clip in lowest_confidence(CLIPS, 2)] == [("b", 0.5), ("a", 0.6)]


def test_only_a_clip_that_may_have_several_labels_has_its_parts() -> None:
    clip = LabelledClip(Path("a.avi"), "walk|talk", None)
    assert truths_of([clip], "softmax") == [("walk|talk",)]
    assert truths_of([clip], "sigmoid") == [("walk", "talk")]


def test_joined_labels_that_are_a_class_of_their_own_are_reported() -> None:
    clips = [LabelledClip(Path("a.avi"), "walk|talk", None), LabelledClip(Path("b.avi"), "walk", None)]
    [warning] = warn_of_joined_labels(clips, "softmax")
    assert warning.startswith("1 clip with several labels, the first 'walk|talk'")
    assert "overrides=['training.objective=sigmoid']" in warning
    assert warn_of_joined_labels(clips, "sigmoid") == warn_of_joined_labels(clips[1:], "softmax") == []


def test_a_clip_is_correct_with_any_of_its_labels() -> None:
    assert ClipResult("a", ("talk", "walk"), (LabelScore(label="walk", score=0.9),)).is_correct


def test_clips_that_failed_are_left_out() -> None:
    labels = tuple(LabelScore(label=label, score=0.3) for label in ("walk", "run", "sit"))
    good = Prediction(
        source="a", labels=labels, uncertain=False, warnings=(), model="m", duration_seconds=1, num_frames=8
    )
    bad = Failure(source="b", error=ErrorDescription(type="DecodeFailed", message="b: no"))
    assert clip_results([bad, good], [("run",), ("walk",)]) == [ClipResult("a", ("walk",), labels[:2])]
