"""Keyword arguments of older versions are accepted for good."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import videoclf
from tests.conftest import write_clip
from videoclf.first_keywords import accepts_first_keywords

FIRST: list[tuple[Any, dict[str, str]]] = [
    (videoclf.train, {"group_pattern": "group_regex", "num_threads": "workers", "place": "device_map"}),
    (videoclf.train, {"observer": "progress"}),
    (videoclf.crossval, {"group_pattern": "group_regex", "num_threads": "workers", "observer": "progress"}),
    (videoclf.evaluate, {"group_pattern": "group_regex", "num_threads": "workers", "place": "device_map"}),
    (videoclf.evaluate, {"on_notice": "progress"}),
    (videoclf.extract, {"num_threads": "workers", "observer": "progress"}),
    (videoclf.check, {"group_pattern": "group_regex", "num_threads": "workers"}),
    (videoclf.load, {"place": "device_map", "notice": "progress"}),
    (videoclf.Model.predict_many, {"num_threads": "workers"}),
]


@accepts_first_keywords(observer="progress")
def function(*, progress: object = None) -> object:
    return progress


def test_the_first_name_is_accepted() -> None:
    assert function(observer=1) == function(progress=1) == 1  # type: ignore[call-arg]


def test_both_names_exclude_each_other() -> None:
    with pytest.raises(TypeError, match=r"function\(\) got both progress and its first name, observer"):
        function(observer=1, progress=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(("public", "names"), FIRST)
def test_public_functions_take_their_first_keywords(public: Any, names: dict[str, str]) -> None:
    parameters = inspect.signature(public).parameters
    assert set(names.values()) <= parameters.keys()
    for first, now in names.items():
        with pytest.raises(TypeError, match=f"got both {now} and its first name, {first}"):
            public(**{first: None, now: None})


def test_the_first_keywords_do_what_they_did(tmp_path: Path, tiny_model: Path) -> None:
    notes: list[str] = []
    model = videoclf.load(tiny_model, engine="torch", place="backbone=cpu", notice=notes.append)  # type: ignore[call-arg]
    clip = write_clip(tmp_path / "a.avi", 3)
    (outcome,) = model.predict_many([clip], num_threads=1)  # type: ignore[call-arg]
    assert isinstance(outcome, videoclf.Prediction)
