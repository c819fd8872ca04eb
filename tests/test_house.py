"""The house keeps its order: imports point one way, files stay small, data travels in the wheel."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "videoclf"

MAY_IMPORT = {
    "recipe": set(),
    "media": set(),
    "kernels": set(),
    "modeling": {"recipe", "media", "kernels"},
    "data": {"media"},
    "audit": {"media", "data"},
    "inference": {"recipe", "media", "kernels", "modeling"},
    "evaluation": {"recipe", "media", "modeling", "data", "inference"},
    "training": {"recipe", "media", "kernels", "modeling", "data", "audit", "inference", "evaluation"},
    "cli": {"recipe", "media", "kernels", "modeling", "data", "audit", "inference", "evaluation", "training"},
}


def rooms_imported_by(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("videoclf.")} & MAY_IMPORT.keys()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room: str) -> None:
    for path in (PACKAGE / room).glob("*.py"):
        assert rooms_imported_by(path) <= MAY_IMPORT[room] | {room}, path


def test_every_room_is_listed_for_the_wheel() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    rooms = {f"videoclf.{path.parent.name}" for path in PACKAGE.glob("*/__init__.py")}
    assert listed == {"videoclf", "videoclf._models", "videoclf._datasets"} | rooms


def test_no_file_is_longer_than_500_lines() -> None:
    files = [path for folder in (PACKAGE, ROOT / "tests") for path in folder.rglob("*.py")]
    assert [path for path in files if len(path.read_text().splitlines()) > 500] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_where_a_gpu_is_required_a_skip_is_a_failure() -> None:
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "tests/kernels/test_motion.py"],
        cwd=ROOT, env=os.environ | {"VIDEOCLF_REQUIRE_CUDA": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "VIDEOCLF_REQUIRE_CUDA=1, but torch finds no GPU" in run.stdout
    assert "skipped" not in run.stdout.splitlines()[-1]
