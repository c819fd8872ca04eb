"""The findings of a check as validated models. ``videoclf check --json`` prints them (docs/check.schema.json)."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from videoclf.data.clip_list import Part


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True)


class CheckedClip(_Finding):
    """The properties of one clip."""

    path: str
    label: str
    group: str | None
    part: Part | None
    """Its part in the split; None without a split, or if the split leaves it out."""
    size_bytes: int
    codec: str | None
    """This and the following values are None if the file could not be opened."""
    width: int | None
    height: int | None
    fps: float | None
    """Average frame rate, in frames a second."""
    duration_seconds: float | None


class UnusableClip(_Finding):
    """A clip that gives no frames, or whose decoding ends with an error."""

    path: str
    type: str
    """The name of the exception in `videoclf.errors`, without the suffix ``Error``."""
    message: str


class RepairedClip(_Finding):
    """A clip that can be read, but not completely, or not as its header claims."""

    path: str
    warnings: tuple[str, ...] = Field(min_length=1)


OddKind = Literal["frame rate", "varying frame rate", "size", "length", "few frames", "nothing moves", "blank"]


class OddClip(_Finding):
    """An outlier: a clip that differs from the others, or that hardly is a video."""

    path: str
    kind: OddKind
    message: str


class ClassCount(_Finding):
    """The amount of data of one class."""

    label: str
    num_clips: int
    num_usable: int
    num_train: int
    """This and the next two values are 0 without a split."""
    num_validation: int
    num_test: int
    duration_seconds: float
    """Total duration of its usable clips."""


class ExactDuplicates(_Finding):
    """Files with identical content."""

    paths: tuple[str, ...] = Field(min_length=2)
    labels: tuple[str, ...]
    """Their classes. More than one means that a label is wrong."""


class NearDuplicatePair(_Finding):
    """Two files, one of which shows the same as the other, or a part of it."""

    first: str
    second: str
    labels: tuple[str, ...]
    """Their classes."""
    is_mirrored: bool
    offset_seconds: float
    """The time in the second clip at which the first one begins; negative if the first one begins earlier."""
    shared_seconds: float
    difference: float
    """Largest local difference in relation to the strength of the motion; 0 means identical."""


class Leak(_Finding):
    """A group, or copies of one clip, on two sides of a split."""

    kind: Literal["group", "exact duplicate", "near-duplicate"]
    first: str
    """A clip on one side."""
    first_part: Part
    second: str
    """A clip on the other side."""
    second_part: Part
    group: str | None = None
    """The name of the group, if a group leaks."""

    def __str__(self) -> str:
        what = f"group {self.group}" if self.kind == "group" else self.kind
        return f"{what}: {self.first} ({self.first_part}) and {self.second} ({self.second_part})"


class SplitCounts(_Finding):
    """The split that was checked."""

    spec: str
    num_train: int
    num_validation: int
    num_test: int


class CheckReport(_Finding):
    """The findings of `videoclf check`."""

    format_version: Literal[1] = 1
    source: str
    """The folder or list that was checked."""
    is_clean: bool
    """Whether every clip is usable and nothing leaks. The exit code is then 0."""
    num_clips: int
    num_usable: int
    duration_seconds: float
    """Total duration of all usable clips."""
    split: SplitCounts | None
    has_near_duplicates_checked: bool
    clips: tuple[CheckedClip, ...]
    unusable: tuple[UnusableClip, ...]
    repaired: tuple[RepairedClip, ...]
    odd: tuple[OddClip, ...]
    classes: tuple[ClassCount, ...]
    exact_duplicates: tuple[ExactDuplicates, ...]
    near_duplicates: tuple[NearDuplicatePair, ...]
    leaks: tuple[Leak, ...]
    notes: tuple[str, ...]
    """Sentences about the dataset: class balance, missing groups, what was not checked."""

    def to_json_line(self) -> str:
        """The report as one line of JSON, following docs/check.schema.json."""
        return json.dumps(self.model_dump(mode="json"))  # ASCII: also for file names that are no UTF-8
