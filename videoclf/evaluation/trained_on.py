"""Finds evaluation clips that the model was trained on: by content, or by the paths that its run recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data.content_index import ContentIndex
from videoclf.data.dataset import LabelledClip
from videoclf.errors import ResultsInvalidError, one_line
from videoclf.inference.model import Model
from videoclf.recipe.trained_clips import clip_hash


@dataclass(frozen=True)
class RunSplit:
    """The split of a run, as its folder records it."""

    spec: str
    """As ``--split`` takes it."""
    group_regex: str | None
    """The value of ``--group-regex``, if it was given."""
    trained_paths: frozenset[str]
    """Absolute paths of the clips for training, and for choosing epoch, temperature and threshold."""
    test_names: frozenset[str]
    """Folder and file name of each test clip: the dataset may have moved, or be given by another path."""
    is_finished: bool
    """If not, its model is the best one so far, and its scores are not calibrated."""


def read_run_split(model: Path) -> RunSplit | None:
    """Read the split of the run that a model file or folder belongs to; None if it belongs to none.

    Raises:
        ResultsInvalidError: the run's split.json is damaged.
    """
    path = (model if model.is_dir() else model.parent) / "split.json"
    if not (model.is_dir() or model.name == "model.safetensors") or not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        trained = frozenset(str(Path(clip).absolute()) for clip in (*tree["train"], *tree["validation"]))
        tested = frozenset(short_name(Path(clip)) for clip in tree.get("test", ()))
        is_finished = path.with_name("report.html").exists()
        return RunSplit(str(tree["spec"]), tree.get("group_pattern"), trained, tested, is_finished)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsInvalidError(
            f"cannot be read ({one_line(error)})",
            source=path,
            hint="evaluate the model file from another folder, or train again",
        ) from error


def short_name(clip: Path) -> str:
    """A clip's name independent of where its dataset is: ``walk/ira_walk.avi``."""
    return "/".join(clip.parts[-2:])


def find_trained_on(model: Model, clips: Sequence[LabelledClip]) -> list[bool]:
    """Say for each clip whether the model was trained or validated on it.

    (Validation chooses epoch, temperature and threshold.) The model file identifies clips by content, wherever they are
    now. If it lists none (files of older versions, runs that were interrupted), its run identifies them by path, if
    there is one.

    Args:
        model: the loaded model.
        clips: each file is read completely, if the model file lists any clips.

    Raises:
        ModelFileInvalidError, ResultsInvalidError: the file, or the run's split.json, is damaged.
    """
    hashes = model.trained_clips
    if hashes:
        return [digest is not None and clip_hash(digest) in hashes for digest in _digests(clips)]
    run = None if model.source is None else read_run_split(model.source)
    return [run is not None and str(clip.path.absolute()) in run.trained_paths for clip in clips]


def hash_clips(clips: Sequence[LabelledClip]) -> list[str]:
    """The hashes by which a model file identifies clips; clips that cannot be read are left out."""
    return [clip_hash(digest) for digest in _digests(clips) if digest is not None]


def _digests(clips: Sequence[LabelledClip]) -> list[str | None]:
    index = ContentIndex(None)
    return [index.sha256(clip.path) for clip in clips]
