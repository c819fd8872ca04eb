"""Manifests: what is known of a public data set before its videos are there, read from ``datasets/NAME.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from videoclf.errors import DatasetInvalidError
from videoclf.zoo import datasets_folder


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Naming(_Section):
    """How the set names its clips."""

    example: str
    """A file name as its makers write it."""

    pattern: str
    """A regular expression that matches every file name; its named groups tell the name's parts."""


class PublishedSplit(_Section):
    """One of the partitions that figures are published on."""

    name: str
    """``official:1``: as ``--split`` takes it. Any other is the makers' word; the commands show how to follow it."""

    num_train: int = Field(gt=0)
    """Clips listed for training."""

    num_test: int = Field(gt=0)
    """Clips listed for the part that figures are published on."""

    files: tuple[str, ...] = Field(min_length=1)
    """Names of the lists; CLASS stands for each class."""


class Manifest(_Section):
    """What is known of a public data set. Read it with `load_manifest`."""

    name: str
    """The file's name without suffix, as in ``videoclf datasets ucf101``."""

    title: str
    """The name its makers gave it."""

    url: str
    """The page to start from."""

    how_to_get: str
    """Where videos and lists are, and on what terms: one to three sentences."""

    num_clips: int = Field(gt=0)
    """Clips that the published lists name, used by a split or not."""

    naming: Naming
    """How clips are named."""

    group_regex: str
    """For ``--group-regex``: clips whose names share it come from one video, person or place."""

    layout: tuple[str, ...] = Field(min_length=1)
    """Paths that show how folders and lists lie for the commands."""

    commands: tuple[str, ...] = Field(min_length=1)
    """What to type, in order, to train on the set and to get the figure of its first split."""

    classes: tuple[str, ...] = Field(min_length=2)
    """Every class, as its folder is named, in the makers' order."""

    splits: tuple[PublishedSplit, ...] = Field(min_length=1)
    """The published partitions."""


def manifest_names() -> list[str]:
    """The names of all manifests, sorted."""
    return sorted(path.stem for path in datasets_folder().glob("*.toml"))


def load_manifest(name: str) -> Manifest:
    """The manifest of that name.

    Raises:
        DatasetInvalidError: there is none.
    """
    if name not in manifest_names():
        raise DatasetInvalidError(
            f"no data set {name!r} is described here", hint=f"those that are: {', '.join(manifest_names())}"
        )
    tree = tomllib.loads((datasets_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    return Manifest.model_validate({"name": name, **tree})


def recognise(labels: Iterable[str]) -> Manifest | None:
    """The public data set whose classes these are: all of them known to it, and at least half of its classes there.

    Half, because parts of a set are common (classes whose clips are gone, a first try), while a few names prove
    nothing: Weizmann's ``run``, ``walk`` and ``jump`` are HMDB51's too. No two manifests share half of their classes.
    """
    found = set(labels)
    for name in manifest_names():
        manifest = load_manifest(name)
        if found <= set(manifest.classes) and 2 * len(found) >= len(manifest.classes):
            return manifest
    return None
