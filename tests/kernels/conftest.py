"""Kernels are tested twice by the same tests: interpreted on a CPU (in a process of their own: test_interpreted.py),
and on a GPU where one is. With ``VIDEOCLF_REQUIRE_CUDA=1`` a GPU that is not there is a failure, not a skip."""

from __future__ import annotations

import os

import pytest
import torch

from videoclf.kernels.availability import why_no_kernels


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and (reason := why_no_kernels(torch.device("cuda"))):
        if os.environ.get("VIDEOCLF_REQUIRE_CUDA") == "1":
            pytest.fail(f"VIDEOCLF_REQUIRE_CUDA=1, but {reason}")
        pytest.skip(reason)


INTERPRETED = pytest.param("cpu", marks=pytest.mark.interpreted)
ON_A_GPU = pytest.param("cuda", marks=pytest.mark.cuda)


@pytest.fixture(params=[INTERPRETED, ON_A_GPU])
def device(request: pytest.FixtureRequest) -> str:
    """Where a kernel runs."""
    name: str = request.param
    return name
