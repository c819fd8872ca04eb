"""The results: a prediction or a failure for each source. Their JSON is the command line's ``--json``."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_serializer

from videoclf.errors import VideoclfError, error_class

OUTPUT_FORMAT_VERSION: Literal[1] = 1


_Score = Annotated[float, Field(ge=0, le=1, title="Score")]


class LabelScore(BaseModel):
    """One class and its score."""

    model_config = ConfigDict(frozen=True)

    label: str
    score: _Score

    @field_serializer("score", when_used="json")
    def _rounded(self, score: float) -> _Score:
        return round(score, 6)  # figures are computed from all digits; nobody reads more


class _Output(BaseModel):
    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = OUTPUT_FORMAT_VERSION
    source: str
    """The path as it was given, or as found in the folder that was given."""

    def to_json_line(self) -> str:
        """One line of JSON, as docs/prediction.schema.json describes it."""
        return json.dumps(self.model_dump(mode="json"))  # ASCII: also for file names that are no UTF-8


class Prediction(_Output):
    """The classes of one video."""

    labels: tuple[LabelScore, ...] = Field(min_length=1)
    """Best first; all of the model's classes, or the requested ``top_k``."""

    uncertain: bool
    """The best score is below the model's threshold: the video may show none of its classes, or has no label."""

    warnings: tuple[str, ...]
    model: str
    duration_seconds: float
    num_frames: int
    """Number of frames that the network saw, including repeated ones."""

    @property
    def label(self) -> str:
        """The most likely class."""
        return self.labels[0].label

    @property
    def score(self) -> float:
        """The score of the most likely class, 0 to 1."""
        return self.labels[0].score

    def top(self, k: int) -> Prediction:
        """The same prediction with only the best k classes."""
        return self.model_copy(update={"labels": self.labels[:k]})

    def __repr__(self) -> str:
        unsure = ", uncertain" if self.uncertain else ""
        return f"Prediction({self.label} {self.score:.2f}{unsure}, {self.num_frames} frames of {self.source})"


class ErrorDescription(BaseModel):
    """Why there is no prediction for a source."""

    model_config = ConfigDict(frozen=True)

    type: str
    """The exception's name, without the suffix ``Error``; videoclf/errors.py has the exception hierarchy."""
    message: str


class Failure(_Output):
    """A source without a prediction."""

    error: ErrorDescription
    _exception: VideoclfError | None = PrivateAttr(None)

    @property
    def exception(self) -> VideoclfError:
        """The exception, with its source, reason and hint; for a failure read from JSON, its message is the reason."""
        if self._exception is not None:
            return self._exception
        return error_class(self.error.type)(self.error.message)

    @classmethod
    def of(cls, source: str, error: VideoclfError) -> Failure:
        """The failure of a source because of an exception."""
        failure = cls(source=source, error=ErrorDescription(type=error.type_name, message=str(error)))
        failure._exception = error
        return failure
