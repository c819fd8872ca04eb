"""Manifests describe public datasets before their videos are there. They are read from ``datasets/NAME.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from videoclf.errors import DatasetInvalidError
from videoclf.zoo import datasets_folder


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Naming(_Section):
    """How the dataset names its clips."""

    example: str
    """An original file name."""

    pattern: str
    """A regular expression that matches every file name. Its named groups are the parts of the name."""


class PublishedSplit(_Section):
    """One of the splits on which figures are published."""

    name: str
    """``official:1``: as ``--split`` accepts it. Any other is the authors' name; the commands show how to use it."""

    num_train: int = Field(gt=0)
    """Number of clips listed for training."""

    num_test: int = Field(gt=0)
    """Number of clips listed for the part on which figures are published."""

    files: tuple[str, ...] = Field(min_length=1)
    """Names of the lists; CLASS stands for each class."""


class Manifest(_Section):
    """Describes a public dataset. Read it with `load_manifest`."""

    name: str
    """The file's name without suffix, as in ``videoclf datasets ucf101``."""

    title: str
    """The name that its authors gave it."""

    url: str
    """The page to start from."""

    how_to_get: str
    """Where videos and lists are, and on what terms: one to three sentences."""

    num_clips: int = Field(gt=0)
    """Number of clips in the published lists, used by a split or not."""

    naming: Naming
    """How clips are named."""

    group_regex: str
    """For ``--group-regex``: clips with the same match come from one video, person or place."""

    layout: tuple[str, ...] = Field(min_length=1)
    """Paths that show how to arrange folders and lists for the commands."""

    commands: tuple[str, ...] = Field(min_length=1)
    """The commands, in order, that train on the dataset and compute the figure of its first split."""

    classes: tuple[str, ...] = Field(min_length=2)
    """The folder name of every class, in the authors' order."""

    splits: tuple[PublishedSplit, ...] = Field(min_length=1)
    """The published splits."""


def manifest_names() -> list[str]:
    """The names of all manifests, sorted."""
    return sorted(path.stem for path in datasets_folder().glob("*.toml"))


def load_manifest(name: str) -> Manifest:
    """Read the manifest with this name.

    Raises:
        DatasetInvalidError: there is no such manifest.
    """
    if name not in manifest_names():
        raise DatasetInvalidError(f"there is no dataset {name!r}", hint=f"available: {', '.join(manifest_names())}")
    tree = tomllib.loads((datasets_folder() / f"{name}.toml").read_text(encoding="utf-8"))
    return Manifest.model_validate({"name": name, **tree})


def recognise(labels: Iterable[str]) -> Manifest | None:
    """The public dataset that these classes belong to: it has all of them, and at least half of its classes are there.

    Half, because parts of a dataset are common (classes whose clips are gone, a first try), while a few names prove
    nothing: Weizmann's ``run``, ``walk`` and ``jump`` are HMDB51's too. No two manifests share half of their classes.
    """
    found = set(labels)
    for name in manifest_names():
        manifest = load_manifest(name)
        if found <= set(manifest.classes) and 2 * len(found) >= len(manifest.classes):
            return manifest
    return None
