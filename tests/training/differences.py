"""How far two trainings are apart."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file


def largest_difference(one: Path, other: Path) -> float:
    """Of any weight in two model files, which must name the same ones."""
    weights, others = load_file(one), load_file(other)
    assert weights.keys() == others.keys()
    return max(float((others[name].double() - weights[name].double()).abs().max()) for name in weights)
