from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_kernel_equals_its_reference_when_python_interprets_it() -> None:
    """Triton reads the variable when it is imported, so it is set for a process that does nothing else."""
    command = [sys.executable, "-m", "pytest", "tests/kernels", "-m", "interpreted"]
    command += ["-q", "-n", "0", "-p", "no:cacheprovider"]
    interpreting = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=ROOT, env=interpreting, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "skipped" not in run.stdout
