"""Where and when figures came about."""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch


def describe_environment(device: str, *, num_threads: int, precision: str = "") -> dict[str, str]:
    """A heading and a line each, for a report.

    Args:
        device: what computed, for people.
        num_threads: videos decoded at once.
        precision: of the computation, as Lightning Fabric names it; empty where ``device`` tells it.
    """
    facts = {
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": _command(),
        "videoclf": version("videoclf"),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
        "precision": precision,
        "threads": f"{torch.get_num_threads()} of torch, {num_threads} for decoding",
        "system": platform.platform(),
    }
    return {name: line for name, line in facts.items() if line}


def _command() -> str:
    """What was typed, where it was ours; empty in a program of the user's, whose arguments say nothing of this."""
    program = Path(sys.argv[0])
    is_ours = program.stem == "videoclf" or program.parts[-2:] == ("videoclf", "__main__.py")
    return shlex.join(["videoclf", *sys.argv[1:]]) if is_ours else ""
