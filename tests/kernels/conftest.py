"""Kernels are tested twice by the same tests: interpreted on a CPU (in a process of their own: test_interpreted.py),
and on a GPU where one is."""

from __future__ import annotations

import pytest

INTERPRETED = pytest.param("cpu", marks=pytest.mark.interpreted)
ON_A_GPU = pytest.param("cuda", marks=pytest.mark.cuda)


@pytest.fixture(params=[INTERPRETED, ON_A_GPU])
def device(request: pytest.FixtureRequest) -> str:
    """Where a kernel runs."""
    name: str = request.param
    return name
