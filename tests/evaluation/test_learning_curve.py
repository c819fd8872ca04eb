"""What a learning curve says of a dataset."""

from __future__ import annotations

from videoclf.evaluation.learning_curve import CurvePoint, LearningCurve

LABELS = ("run", "skip", "walk")


def curve(
    *tops: float, recalls: tuple[tuple[float, ...], ...], confusion: tuple[tuple[int, ...], ...]
) -> LearningCurve:
    points = (
        CurvePoint(num_clips_per_class=5 * 2**i, top1=top1, recall=dict(zip(LABELS, recall, strict=True)))
        for i, (top1, recall) in enumerate(zip(tops, recalls, strict=True))
    )
    return LearningCurve(points=tuple(points), num_clips={"run": 10, "skip": 8, "walk": 10}, confusion=confusion)


RISING = curve(0.6, 0.75, recalls=((0.9, 0.3, 0.6), (0.95, 0.5, 0.8)), confusion=((19, 1, 0), (10, 10, 0), (2, 2, 16)))
FLAT = curve(0.9, 0.905, recalls=((0.9, 0.9, 0.9), (0.9, 0.9, 0.92)), confusion=((9, 0, 0), (0, 9, 0), (0, 0, 9)))


def test_a_curve_that_rises_asks_for_more_clips_and_says_of_which_classes() -> None:
    assert RISING.describe() == [
        "The step from 5 to 10 clips a class raised the accuracy by 0.150: more clips would help further.",
        "Classes that gained most from more clips, and are still below the mean: skip (8 clips, recall 0.50).",
        "Most often confused: skip as run (50%), walk as run (10%), walk as skip (10%).",
    ]


def test_a_flat_one_says_that_more_of_the_same_help_little() -> None:
    [sentence] = FLAT.describe()
    assert sentence.startswith("The step from 5 to 10 clips a class changed the accuracy by +0.005: more clips like")


def test_confusions_are_sorted_by_their_share_of_the_true_class() -> None:
    assert RISING.confused[0] == ("skip", "run", 0.5)
    assert FLAT.confused == []
