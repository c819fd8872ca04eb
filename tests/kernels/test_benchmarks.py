"""The benchmarks work where there is no GPU, as far as they can; and no kernel spills."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


WITHOUT_DECODERS = """
import runpy, sys
for name in ("av", "cv2", "torchcodec", "safetensors", "typer", "rich", "matplotlib", "lightning_fabric"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script where little is installed, as on a rented GPU."""


def run(folder: Path, script: str, *arguments: str, program: tuple[str, ...] = ()) -> str:
    """Its standard output; what Triton compiles goes into the folder."""
    environment = os.environ | {"TRITON_CACHE_DIR": str(folder)}
    command = [sys.executable, *program, str(BENCHMARKS / script), *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_dry_run_prints_every_table_and_no_figure(tmp_path: Path) -> None:
    printed = run(tmp_path, "gpu.py", "--dry-run", program=("-c", WITHOUT_DECODERS))
    titles = ("| ceiling", "| preprocess", "| temporal shift", "| network")
    assert [title for title in titles if title not in printed] == []
    rows = [line for line in printed.splitlines() if "| dry" in line]
    assert len(rows) == 2 + 4 + 2 + 1
    assert "left out" not in printed


@pytest.mark.slow  # .ci/run compiles all variants too
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.parametrize("arguments", [(), ("--all",)])
def test_no_kernel_spills_on_any_generation_of_gpus(
    tmp_path: Path, arguments: tuple[str, ...], large_memory: None
) -> None:
    printed = run(tmp_path, "kernel_resources.py", *arguments)
    assert [target for target in ("sm_80", "sm_90", "sm_100") if f"| {target} |" not in printed] == []
