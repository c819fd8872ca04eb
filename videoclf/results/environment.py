"""The environment in which results were computed."""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch


def describe_environment(device: str, *, num_threads: int, precision: str = "") -> dict[str, str]:
    """Describe the environment for a report: lines by heading.

    Args:
        device: the device, as shown to the user.
        num_threads: videos decoded at once.
        precision: of the computation, as Lightning Fabric names it; empty if ``device`` includes it.
    """
    facts = {
        "written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": _command(),
        "videoclf": version("videoclf"),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "device": device,
        "precision": precision,
        "threads": f"{torch.get_num_threads()} for torch, {num_threads} for decoding",
        "system": platform.platform(),
    }
    return {name: line for name, line in facts.items() if line}


def _command() -> str:
    """The command line, if it was videoclf's; empty in another program, whose arguments do not describe the results."""
    program = Path(sys.argv[0])
    is_ours = program.stem == "videoclf" or program.parts[-2:] == ("videoclf", "__main__.py")
    return shlex.join(["videoclf", *sys.argv[1:]]) if is_ours else ""
