"""The folder of a cross-validation: its finished folds, and whether another one may replace it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from videoclf.errors import RunFolderUnusableError
from videoclf.evaluation.cross_validated import FoldRecord
from videoclf.evaluation.learning_curve import LearningCurve
from videoclf.files import prepare_folder, remove_file, write_atomically
from videoclf.option_names import option
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import recipe_to_toml
from videoclf.results.reader import holds_run

_CURVE = "learning_curve.json"
_RESULTS = ("metrics.json", "predictions.jsonl", "report.html", "recipe.toml", _CURVE)


class CrossvalFolder:
    """The folder of one cross-validation. Files of an older one are removed when the first fold of this one is kept,
    not before.

    Args:
        path: need not exist.
        fingerprint: of everything that a fold's record depends on, except its seed and the device.
        computes_on: the device; stored with the folds.
        overwrite: whether another cross-validation, or this one, may be started again there.

    Raises:
        RunFolderUnusableError: the folder contains something else.
    """

    def __init__(self, path: Path, fingerprint: str, computes_on: str, *, overwrite: bool) -> None:
        self.path = path
        self._about = path / "crossval.json"
        self._fingerprint, self._computes_on = fingerprint, computes_on
        if holds_run(path):
            raise RunFolderUnusableError("contains a training run", source=path, hint=f"choose another {option('out')}")
        about = self._read_about(overwrite=overwrite)
        found = about.get("fingerprint")
        others = [*(path / name for name in _RESULTS if (path / name).exists()), *(path / "folds").glob("*.json")]
        if found is None and not overwrite and others:
            raise RunFolderUnusableError(
                f"contains other figures ({others[0].relative_to(path)})",
                source=path,
                hint=f"choose another {option('out')}, or add {option('overwrite')}",
            )
        if found not in {None, fingerprint} and not overwrite:
            raise RunFolderUnusableError(
                "contains a cross-validation of another recipe, of other weights, or of other clips",
                source=path,
                hint=f"choose another {option('out')}, or add {option('overwrite')}",
            )
        self._is_begun = found == fingerprint and not overwrite
        self.began_on: str | None = about.get("computes_on") if self._is_begun else None
        """The device of the first kept fold; None if there is none, or if it was not recorded."""

    def _read_about(self, *, overwrite: bool) -> dict[str, Any]:
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
            return {"fingerprint": about["fingerprint"], "computes_on": about.get("computes_on")}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if overwrite:
                return {}
            raise RunFolderUnusableError(
                "is damaged, so it is unknown what its folds belong to",
                source=self._about,
                hint=f"choose another {option('out')}, or add {option('overwrite')}",
            ) from error

    def records(self) -> dict[str, FoldRecord]:
        """The records that are there and intact, by name. An incomplete one is computed again."""
        records = {}
        for path in sorted((self.path / "folds").glob("*.json")) if self._is_begun else []:
            try:
                records[path.name] = FoldRecord.model_validate(json.loads(path.read_bytes()))
            except (OSError, ValueError, ValidationError):
                continue
        return records

    def keep(self, name: str, record: FoldRecord, recipe: Recipe) -> None:
        """Write a fold's record.

        Raises:
            RunFolderUnusableError: the folder cannot be written.
        """
        if not self._is_begun:
            prepare_folder(self.path / "folds")
            for path in [*(self.path / "folds").glob("*.json"), *(self.path / name for name in _RESULTS)]:
                remove_file(path)
            about = {"format_version": 1, "fingerprint": self._fingerprint, "computes_on": self._computes_on}
            write_atomically(self._about, json.dumps(about).encode())
            write_atomically(self.path / "recipe.toml", recipe_to_toml(recipe).encode())
            self._is_begun = True
        write_atomically(self.path / "folds" / name, to_json(record).encode())

    def keep_learning_curve(self, curve: LearningCurve) -> None:
        """Write the learning curve of the dataset.

        Raises:
            RunFolderUnusableError: the folder cannot be written.
        """
        write_atomically(self.path / _CURVE, to_json(curve).encode())

    def learning_curve(self) -> LearningCurve | None:
        """The learning curve that was written; None if there is none."""
        try:
            return LearningCurve.model_validate(json.loads((self.path / _CURVE).read_bytes()))
        except (OSError, ValueError, ValidationError):
            return None


def to_json(model: BaseModel, *, indent: int | None = None) -> str:
    """Convert to JSON, even if a file name in it is not UTF-8, which pydantic's own method refuses."""
    return json.dumps(model.model_dump(mode="json"), indent=indent)
