"""The folder of a training run: its contents, and whether a run may start or continue there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from videoclf.data.splits import Split
from videoclf.errors import RunFolderUnusableError
from videoclf.evaluation.metrics import Metrics
from videoclf.evaluation.probe_comparison import ProbeComparison
from videoclf.files import prepare_folder, remove_file, write_atomically
from videoclf.option_names import option
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import load_recipe, recipe_to_toml
from videoclf.recipe.validation_errors import shortened
from videoclf.training.loop.checkpoints import has_checkpoint, remove_checkpoints

_BEGIN = ("recipe.toml", "split.json")
"""Written before the first clip is read."""
_END = "report.html"
"""Written last: a run that has it is finished."""
_MAX_KEYS = 5
"""That a message names."""
TENSORBOARD_FOLDER = "tensorboard"
"""Name of the folder for TensorBoard's files in a run's folder."""
_FILES = (*_BEGIN, "log.csv", "model.safetensors", "predictions.jsonl", "metrics.json", _END)


EvaluatedOn = Literal["test", "validation", "training"]
"""``training``: the network was finally trained on these clips too (validation, after a refit): no figure for new
videos."""


@dataclass(frozen=True)
class Run:
    """The results of a training run."""

    folder: Path
    model_path: Path
    metrics: Metrics
    """Figures of the test part or, if the split has none, of the validation part."""
    evaluated_on: EvaluatedOn
    """The part that the metrics refer to."""
    num_unreadable: int
    """Number of clips of any part that could not be read."""
    peak_memory_bytes: int
    """Peak memory during training: of the (first) GPU, or of the (first) process."""
    linear_probe: ProbeComparison | None = None
    """The network beside a linear probe on the same features; None if the backbone was trained. If the network was
    finally trained on all clips (``evaluated_on`` is ``training``), on the validation part before that."""

    @property
    def judged_on(self) -> EvaluatedOn:
        """The old name of `evaluated_on`."""
        return self.evaluated_on


class RunFolder:
    """The folder of one run.

    Args:
        path: need not exist.

    Raises:
        RunFolderUnusableError: it contains a cross-validation.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if (path / "crossval.json").exists():
            raise RunFolderUnusableError(
                "contains a cross-validation", source=path, hint=f"choose another {option('out')}"
            )

    @property
    def has_begun(self) -> bool:
        """Whether it contains a run, finished or not."""
        return has_checkpoint(self.path) or any((self.path / name).exists() for name in _FILES)

    @property
    def is_finished(self) -> bool:
        """Whether it contains a finished run."""
        return (self.path / _END).exists()

    def refuse_to_replace(self) -> None:
        """Refuse an existing run that should be neither resumed nor replaced.

        Raises:
            RunFolderUnusableError: there is a run.
        """
        if self.is_finished:
            raise RunFolderUnusableError(
                "already contains a run",
                source=self.path,
                hint=f"choose another {option('out')}, or add {option('overwrite')}",
            )
        if self.has_begun:
            raise RunFolderUnusableError(
                "contains an unfinished run",
                source=self.path,
                hint=f"{option('resume')} continues it, {option('overwrite')} replaces it",
            )

    def begin(self, recipe: Recipe, parts: Split, first_weights: str, group_regex: str | None = None) -> None:
        """Write the description of a new run. All files of an older run are removed first, so that they never mix.

        Raises:
            RunFolderUnusableError: the folder cannot be written.
        """
        prepare_folder(self.path)
        curves = list((self.path / TENSORBOARD_FOLDER).glob("events.out.*")) if self.has_begun else []  # else, not ours
        remove_checkpoints(self.path)
        for path in [*(self.path / name for name in _FILES), *curves]:
            remove_file(path)
        write_atomically(self.path / "recipe.toml", recipe_to_toml(recipe).encode())
        write_atomically(self.path / "split.json", _split_json(parts, first_weights, group_regex).encode())

    def recipe(self, asked: Recipe | None, notice: Callable[[str], None]) -> Recipe:
        """The recipe of the run to resume. It is used even if another recipe is requested, with a notice. For a
        finished run another recipe is an error, because the existing result is not what was requested.

        Raises:
            RunFolderUnusableError: the run is finished, and another recipe is requested.
            RecipeInvalidError: the file does not exist, or is not a recipe.
        """
        path = self.path / "recipe.toml"
        recipe = load_recipe(path)
        differing = _differing_keys(recipe, asked) if asked is not None else ""
        if differing and self.is_finished:
            raise RunFolderUnusableError(
                f"the run is finished, but with another recipe than the one requested now ({differing})",
                source=self.path,
                hint=f"choose another {option('out')}, or replace the run with {option('overwrite')}",
            )
        if differing:
            notice(f"{path}: the run continues with its own recipe, not with the one requested now ({differing})")
        return recipe

    def check(self, parts: Split, first_weights: str) -> None:
        """Check that clips and initial weights are those with which the run started.

        Args:
            parts: the clips with their present labels.
            first_weights: see `identify_first_weights`.

        Raises:
            RunFolderUnusableError: they differ.
        """
        path = self.path / "split.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderUnusableError(
                f"cannot be read ({error})", source=path, hint=f"start again with {option('overwrite')}"
            ) from error
        asked = json.loads(_split_json(parts, first_weights, None))
        for tree in (known, asked):  # how groups were found matters only for which clips stand where
            if isinstance(tree, dict):
                tree.pop("group_pattern", None)
        if isinstance(known, dict) and known.get("first_weights") != asked["first_weights"]:
            raise RunFolderUnusableError(
                "the run started from other weights than those given now",
                source=path,
                hint=f"give the same {option('init')} (and the same file) as before, or start again with "
                f"{option('overwrite')}",
            )
        if known != asked:
            raise RunFolderUnusableError(
                "the run started with other clips or labels, or another split, than those given now",
                source=path,
                hint=f"give the same, from the same folder, or start again with {option('overwrite')}",
            )

    def read_run(self) -> Run:
        """Read the results of a finished run.

        Raises:
            RunFolderUnusableError: its figures cannot be read.
        """
        path = self.path / "metrics.json"
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            metrics = Metrics.model_validate(tree)
            unreadable = {*tree["quarantined"], *(clip.source for clip in metrics.failed)}
            return Run(
                self.path,
                self.path / "model.safetensors",
                metrics,
                tree["judged_on"],
                len(unreadable),
                tree["peak_memory_bytes"],
                None if (beside := tree.get("linear_probe")) is None else ProbeComparison.model_validate(beside),
            )
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise RunFolderUnusableError(
                f"cannot be read ({type(error).__name__})", source=path, hint="use the model itself"
            ) from error


def _differing_keys(own: Recipe, asked: Recipe) -> str:
    """The keys with the run's own value and the other; empty where the two train alike."""
    own_tree, asked_tree = own.model_dump(exclude={"description"}), asked.model_dump(exclude={"description"})
    differing = [
        f"{section}.{key} is {shortened(value)}, not {shortened(asked_tree[section][key])}"
        for section, keys in own_tree.items()
        for key, value in keys.items()
        if value != asked_tree[section][key]
    ]
    more = f", and {len(differing) - _MAX_KEYS} more" if len(differing) > _MAX_KEYS else ""
    return ", ".join(differing[:_MAX_KEYS]) + more


def _split_json(parts: Split, first_weights: str, group_regex: str | None) -> str:
    named = {part: [str(clip.path) for clip in getattr(parts, part)] for part in ("train", "validation", "test")}
    labels = [clip.label for clip in (*parts.train, *parts.validation, *parts.test)]
    begun = {
        "labels_sha256": hashlib.sha256(json.dumps(labels).encode()).hexdigest(),
        "first_weights": first_weights,
    }
    how = {"spec": parts.spec, "group_pattern": group_regex}
    return json.dumps({**how, **named, "missing": list(parts.missing), **begun}, indent=1)
