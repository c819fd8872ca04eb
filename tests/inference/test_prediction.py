"""What comes out, and its published schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import TypeAdapter

from videoclf.errors import SourceMissingError
from videoclf.inference.prediction import Failure, LabelScore, Prediction

SCHEMA_PATH = Path(__file__).parents[2] / "docs" / "prediction.schema.json"

PREDICTION = Prediction(
    source="a.mp4",
    labels=(LabelScore(label="walk", score=0.8), LabelScore(label="run", score=0.2)),
    uncertain=False,
    warnings=(),
    model="actions16",
    duration_seconds=3.5,
    num_frames=28,
)


def test_the_published_schema_is_the_one_of_the_code() -> None:
    schema = TypeAdapter(Prediction | Failure).json_schema(mode="serialization")
    assert json.loads(SCHEMA_PATH.read_text()) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of `videoclf predict --json`",
        **schema,
    }


@pytest.mark.parametrize("outcome", [PREDICTION, Failure.of("b.mp4", SourceMissingError("b.mp4: no such file"))])
def test_a_line_of_json_fits_the_schema(outcome: Prediction | Failure) -> None:
    line = outcome.to_json_line()
    assert "\n" not in line
    jsonschema.validate(json.loads(line), json.loads(SCHEMA_PATH.read_text()))


def test_a_prediction_is_named_by_its_best_label() -> None:
    assert (PREDICTION.label, PREDICTION.score) == ("walk", 0.8)
    assert repr(PREDICTION) == "Prediction(walk 0.80, 28 frames of a.mp4)"


def test_only_its_json_is_rounded() -> None:
    label = LabelScore(label="walk", score=1e-9)
    assert (label.score, label.model_dump(mode="json")["score"]) == (1e-9, 0.0)


def test_top_keeps_the_best() -> None:
    assert [entry.label for entry in PREDICTION.top(1).labels] == ["walk"]


def test_a_failure_names_its_kind_and_reason() -> None:
    assert json.loads(Failure.of("b.mp4", SourceMissingError("gone")).to_json_line()) == {
        "format_version": 1,
        "source": "b.mp4",
        "error": {"type": "SourceMissing", "message": "gone"},
    }


def test_a_file_name_that_is_no_utf8_can_be_printed_as_json() -> None:
    line = Failure.of("caf\udce9.avi", SourceMissingError("gone")).to_json_line()
    assert json.loads(line)["source"] == "caf\udce9.avi"
    assert line.isascii()
