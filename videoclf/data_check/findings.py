"""What a check found, as checked values; as JSON they are ``videoclf check --json`` (docs/check.schema.json)."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from videoclf.data.clip_list import Part


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True)


class CheckedClip(_Finding):
    """One clip and what it is."""

    path: str
    label: str
    group: str | None
    part: Part | None
    """Where the split puts it; None without a split, or where the split leaves it out."""
    size_bytes: int
    codec: str | None
    """This and what follows is None where the file could not be opened."""
    width: int | None
    height: int | None
    fps: float | None
    """Frames a second, on average."""
    duration_seconds: float | None


class UnusableClip(_Finding):
    """A clip that gives no frames, or breaks off with an error."""

    path: str
    type: str
    """The error's class, as in `videoclf.errors`."""
    message: str


class RepairedClip(_Finding):
    """A clip that can be read, but not all of it, or not as its header says."""

    path: str
    warnings: tuple[str, ...] = Field(min_length=1)


OddKind = Literal["frame rate", "varying frame rate", "size", "length", "few frames", "nothing moves", "blank"]


class OddClip(_Finding):
    """A clip that is unlike the others, or unlike a video."""

    path: str
    kind: OddKind
    message: str


class ClassCount(_Finding):
    """How much there is of one class."""

    label: str
    num_clips: int
    num_usable: int
    num_train: int
    """This and the next two are 0 without a split."""
    num_validation: int
    num_test: int
    duration_seconds: float
    """Of its usable clips."""


class ExactDuplicates(_Finding):
    """Files that hold the same bytes."""

    paths: tuple[str, ...] = Field(min_length=2)
    labels: tuple[str, ...]
    """The classes that they stand for: more than one is a mistake in the labels."""


class NearDuplicatePair(_Finding):
    """Two files of which one shows what the other one shows, or a part of it."""

    first: str
    second: str
    labels: tuple[str, ...]
    """The classes that they stand for."""
    is_mirrored: bool
    offset_seconds: float
    """When in the second clip the first one begins; negative where it begins before it."""
    shared_seconds: float
    difference: float
    """Where they differ most, compared with what moves: 0 is the same."""


class Leak(_Finding):
    """Something that stands on two sides of a split."""

    kind: Literal["group", "exact duplicate", "near-duplicate"]
    first: str
    """A clip on the one side."""
    first_part: Part
    second: str
    """A clip on the other."""
    second_part: Part
    group: str | None = None
    """Its name, where it is a group that leaks."""

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
    """All that `videoclf check` found."""

    format_version: Literal[1] = 1
    source: str
    """The folder or list."""
    is_clean: bool
    """Whether every clip is usable and nothing leaks; the exit code is 0 then."""
    num_clips: int
    num_usable: int
    duration_seconds: float
    """Of all usable clips."""
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
    """Sentences about the whole: balance, missing groups, what was not checked."""

    def to_json_line(self) -> str:
        """One line of JSON, as docs/check.schema.json describes it."""
        return json.dumps(self.model_dump(mode="json"))  # ASCII: also for file names that are no UTF-8
