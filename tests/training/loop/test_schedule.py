"""How the learning rate changes."""

from __future__ import annotations

import pytest

from videoclf.training.loop.schedule import warmup_cosine


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    factor = warmup_cosine(10, 100)
    rates = [factor(step) for step in range(101)]
    assert max(rates) == rates[10] == 1
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0)
