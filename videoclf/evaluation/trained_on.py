"""Which of the clips that a model is measured on it was trained on: by content, or by the paths that its run noted."""

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
    """What a run's folder remembers of its clips."""

    spec: str
    """As ``--split`` takes it."""
    group_regex: str | None
    """``--group-regex``, where it was given."""
    trained_paths: frozenset[str]
    """Absolute paths of the clips that trained, or chose epoch, temperature and threshold."""
    test_names: frozenset[str]
    """Folder and file name of each clip of the test part: it may have moved, or be looked at from another folder."""
    is_finished: bool
    """If not, its model is the best so far, and its scores are not calibrated."""


def read_run_split(model: Path) -> RunSplit | None:
    """Of the run that a model file or folder belongs to; None where it belongs to none.

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
    """Of a clip wherever its data set lies: ``walk/ira_walk.avi``."""
    return "/".join(clip.parts[-2:])


def find_trained_on(model: Model, clips: Sequence[LabelledClip]) -> list[bool]:
    """Of each clip whether the model was trained on it (or validated, which chooses epoch, temperature and threshold).

    The model file says it by content, wherever a clip lies now. Where it says nothing (files written before it was
    kept, runs that were interrupted), the run beside it says it by path, if there is one.

    Args:
        model: as it was loaded.
        clips: each is read whole, if the file knows any.

    Raises:
        ModelFileInvalidError, ResultsInvalidError: the file, or the run's split.json, is damaged.
    """
    hashes = model.trained_clips
    if hashes:
        return [digest is not None and clip_hash(digest) in hashes for digest in _digests(clips)]
    run = None if model.source is None else read_run_split(model.source)
    return [run is not None and str(clip.path.absolute()) in run.trained_paths for clip in clips]


def hash_clips(clips: Sequence[LabelledClip]) -> list[str]:
    """What a model file says of clips; of those that can be read."""
    return [clip_hash(digest) for digest in _digests(clips) if digest is not None]


def _digests(clips: Sequence[LabelledClip]) -> list[str | None]:
    index = ContentIndex(None)
    return [index.sha256(clip.path) for clip in clips]
