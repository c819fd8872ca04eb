from __future__ import annotations

import re
import sys

import pytest

from videoclf.results.environment import describe_environment


def facts() -> dict[str, str]:
    return describe_environment("cpu", precision="32-true", num_threads=3)


def test_it_names_versions_device_precision_threads_and_the_time() -> None:
    assert facts().keys() >= {"written", "videoclf", "Python", "torch", "device", "precision", "threads", "system"}
    assert facts()["device"] == "cpu"
    assert facts()["threads"].endswith("3 for decoding")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", facts()["written"])


@pytest.mark.parametrize("program", ["/usr/bin/videoclf", "/lib/videoclf/__main__.py", "C:/bin/videoclf.exe"])
def test_what_was_typed_stands_there(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "train", "my data"])
    assert facts()["command"] == "videoclf train 'my data'"


@pytest.mark.parametrize("program", ["train_mine.py", "/home/me/videoclf/mine.py", ""])
def test_a_program_of_the_users_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "--password", "secret"])
    assert "command" not in facts()
