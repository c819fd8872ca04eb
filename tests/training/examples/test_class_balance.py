from __future__ import annotations

from collections import Counter

import numpy as np

from videoclf.training.examples.class_balance import balanced_order

CLASSES = ["often"] * 16 + ["rare"] * 2 + ["seldom"] * 6


def test_each_class_comes_equally_often_in_as_many_clips() -> None:
    order = balanced_order(CLASSES, np.random.default_rng(0))
    assert Counter(CLASSES[i] for i in order) == {"often": 8, "rare": 8, "seldom": 8}


def test_no_clip_comes_again_before_all_of_its_class_have_come() -> None:
    times = Counter(balanced_order(CLASSES, np.random.default_rng(0)))
    assert [times[i] for i in (16, 17)] == [4, 4]
    assert {times[i] for i in range(16)} == {0, 1}
    assert {times[i] for i in range(18, 24)} == {1, 2}


def test_epochs_differ_and_repeat_with_the_generator() -> None:
    rng = np.random.default_rng(0)
    first, second = balanced_order(CLASSES, rng), balanced_order(CLASSES, rng)
    assert first != second
    assert first == balanced_order(CLASSES, np.random.default_rng(0))
