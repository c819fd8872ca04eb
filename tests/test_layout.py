"""The package layout: imports point one way, files stay small, tests mirror modules, data travels in the wheel."""

from __future__ import annotations

import ast
import configparser
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import videoclf

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "videoclf"

LAYERS = (
    "option_names", "first_keywords", "epoch_record", "progress", "errors", "files", "caches", "zoo", "html_page",
    "label_names", "recipe", "media", "kernels", "modeling", "data", "data_check", "inference", "evaluation",
    "results", "training", "cross_validation", "cli", "__main__",
)  # fmt: skip
"""Top-level modules and packages: each may import what stands before it."""

SUB_PACKAGES = {
    "modeling": ("backbones", "temporal", "heads"),
    "inference": ("engines", "export"),
    "inference.engines": ("cuda",),
    "training": ("examples", "loop", "run"),
}
"""In the order in which they may import one another; modules beside them may stand below or above."""


ACROSS_MODULES = {
    "cli/commands", "cli/hostile_names", "compatibility/format1", "data_check/accuracy", "kernels/benchmarks",
    "kernels/interpreted", "layout", "media/coded_clips", "media/colours", "media/decoders_agree", "media/fast_picking",
    "media/frame_exactness", "media/fuzz", "media/hostile", "media/info_truth", "media/odd_files", "network",
    "training/ablation", "training/multilabel", "training/resume", "training/zoo",
}  # fmt: skip
"""Tests of what no single module does."""


def modules() -> dict[str, Path]:
    """Dotted names without the leading ``videoclf.``, packages among them."""
    found = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    named = {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for parts, path in found.items()}
    return {name: path for name, path in named.items() if name}


MODULES = modules()


def imported_by(path: Path) -> set[str]:
    """Modules of ours, those imported inside functions and for types too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("videoclf"):
            inside = node.module.removeprefix("videoclf").removeprefix(".")
            names |= {f"{inside}.{alias.name}".removeprefix(".") for alias in node.names} | {inside}
        elif isinstance(node, ast.Import):
            names |= {
                alias.name.removeprefix("videoclf.") for alias in node.names if alias.name.startswith("videoclf.")
            }
    return {name for name in names if name in MODULES and not (PACKAGE / name.replace(".", "/")).is_dir()}


IMPORTS = {name: imported_by(path) for name, path in MODULES.items()}


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Some nodes that import one another in a circle; empty where there is none."""
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        nodes: list[str] = error.args[1]
        return nodes
    return []


def test_every_part_has_its_layer() -> None:
    parts = {name.partition(".")[0] for name in MODULES}
    assert parts == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str) -> None:
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    for name, imported in IMPORTS.items():
        if name.partition(".")[0] == layer:
            assert {other for other in imported if other.partition(".")[0] not in allowed} == set(), name


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circle_in(IMPORTS) == []


@pytest.mark.parametrize("package", SUB_PACKAGES)
def test_sub_packages_and_what_stands_beside_them_import_one_way(package: str) -> None:
    def child(name: str) -> str | None:
        return name.removeprefix(f"{package}.").partition(".")[0] if name.startswith(f"{package}.") else None

    graph: dict[str, set[str]] = {}
    for name, imported in IMPORTS.items():
        if own := child(name):
            graph.setdefault(own, set()).update(other for each in imported if (other := child(each)) and other != own)
    assert circle_in(graph) == []
    order = SUB_PACKAGES[package]
    for position, sub_package in enumerate(order):
        assert graph[sub_package].isdisjoint(order[position + 1 :]), sub_package


def test_every_sub_package_is_in_the_order() -> None:
    inner = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("*/__init__.py")}
    listed = {f"{package}.{each}" for package, order in SUB_PACKAGES.items() for each in order}
    assert {name for name in inner if "." in name} == listed


def test_the_wheel_takes_every_package_by_itself(tmp_path: Path) -> None:
    from setuptools import find_namespace_packages

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    finding = config["options.packages.find"]
    found = set(find_namespace_packages(str(ROOT), include=[finding["include"]], exclude=[finding["exclude"]]))
    packages = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert found == packages | {"videoclf._models", "videoclf._datasets"}


def test_a_public_name_is_never_a_submodule_too() -> None:
    """Once imported, the sub-module would take the name's place."""
    assert {name for name in videoclf.__all__ if name in MODULES} == set()


def test_tests_mirror_the_modules() -> None:
    """A test file is named after the module that it tests, in the same folders, or stands for several modules."""
    tests = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    named = {path.with_name(path.name.removeprefix("test_")).with_suffix("") for path in tests}
    known = {Path(*name.split(".")) for name in MODULES}
    assert {str(path) for path in named - known} == ACROSS_MODULES


def test_no_file_is_longer_than_500_lines() -> None:
    files = [path for folder in (PACKAGE, ROOT / "tests") for path in folder.rglob("*.py")]
    assert [path for path in files if len(path.read_text().splitlines()) > 500] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_where_a_gpu_is_required_a_skip_is_a_failure() -> None:
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-n", "0", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "tests/kernels/test_temporal_shift.py"],
        cwd=ROOT, env=os.environ | {"VIDEOCLF_REQUIRE_CUDA": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "VIDEOCLF_REQUIRE_CUDA=1, but torch finds no GPU" in run.stdout
    assert "skipped" not in run.stdout.splitlines()[-1]
