"""Writes and reads checkpoints: a run that is killed loses at most the work since the last one.

A file contains tensors and primitives (`torch.load`, ``weights_only``) after their SHA-256. The two newest are kept: if
the newest is truncated, by a power failure for example, the one before it is used.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from videoclf.data.dataset import LabelledClip
from videoclf.errors import RunFolderUnusableError
from videoclf.files import remove_file, write_atomically
from videoclf.option_names import option
from videoclf.training.examples.decoded import Quarantine

FORMAT_VERSION = 2

DEFAULT_INTERVAL_SECONDS = 60.0

_NAMES = ("checkpoint.pt", "checkpoint-before.pt")
"""The newest, and the one before."""

_DIGEST_BYTES = hashlib.sha256().digest_size

State = dict[str, Any]
"""Tensors, numbers, strings, and lists and dictionaries of them."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: the run's folder.
        quarantine: saved and restored with the rest.
        environment: everything that the last bits of weights depend on besides seed and data: threads, precision,
            device.
        notice: called with one line for an incomplete checkpoint, and for another environment.
        interval_seconds: minimum time between two checkpoints; 0: one after every step.
        is_writer: whether this process writes them; one of several does.
    """

    def __init__(
        self,
        folder: Path,
        quarantine: Quarantine,
        environment: dict[str, str],
        notice: Callable[[str], None],
        interval_seconds: float = DEFAULT_INTERVAL_SECONDS,
        *,
        is_writer: bool = True,
    ) -> None:
        self._is_writer = is_writer
        self._newest, self._before = (folder / name for name in _NAMES)
        self._quarantine = quarantine
        self._environment = environment
        self._notice = notice
        self._interval_seconds = interval_seconds
        self._written = time.monotonic()

    def save_if_due(self, state: Callable[[], State]) -> None:
        """Call `save` if the last checkpoint is old enough."""
        if self._is_writer and time.monotonic() - self._written >= self._interval_seconds:
            self.save(state())

    def save(self, state: State) -> None:
        """Write a checkpoint; the newest so far becomes the previous one.

        Raises:
            RunFolderUnusableError: the disk is full, or the folder cannot be written; the previous one is still there.
        """
        if not self._is_writer:
            return
        buffer = io.BytesIO()
        whole = {
            "format_version": FORMAT_VERSION,
            "environment": self._environment,
            "quarantine": {str(clip.path): reason for clip, reason in self._quarantine.reasons.items()},
            "state": state,
        }
        torch.save(whole, buffer)
        content = buffer.getvalue()
        if self._newest.exists():
            self._newest.replace(self._before)
        write_atomically(self._newest, hashlib.sha256(content).digest() + content)
        self._written = time.monotonic()

    def load(self, clips: Sequence[LabelledClip]) -> State | None:
        """Read the newest intact state, and restore its quarantine; None if there is none.

        Args:
            clips: the run's clips.

        Raises:
            RunFolderUnusableError: the checkpoint was written by a newer version.
        """
        for path in (self._newest, self._before):
            if not path.exists():
                continue
            whole = _read(path)
            if whole is None:
                self._notice(f"{path}: is incomplete; the run continues from the checkpoint before it, if there is one")
                continue
            if whole["format_version"] != FORMAT_VERSION:
                raise RunFolderUnusableError(
                    f"has format {whole['format_version']}, this version reads {FORMAT_VERSION}",
                    source=path,
                    hint=f"resume with the version that wrote it, or start again with {option('overwrite')}",
                )
            self._quarantine.restore(whole["quarantine"], clips)
            changed = [
                f"{name} was {value}, is {self._environment.get(name)}"
                for name, value in whole["environment"].items()
                if self._environment.get(name) != value
            ]
            if changed:
                self._notice(f"{'; '.join(changed)}: weights will differ from those of an uninterrupted run")
            state: State = whole["state"]
            return state
        return None

    def remove(self) -> None:
        """Remove the checkpoints, because the run is finished."""
        remove_checkpoints(self._newest.parent)


def has_checkpoint(folder: Path) -> bool:
    """Whether an unfinished run left a checkpoint there, complete or not."""
    return any((folder / name).exists() for name in _NAMES)


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints in a folder."""
    for name in _NAMES:
        remove_file(folder / name)


def _read(path: Path) -> dict[str, Any] | None:
    """None of a file that is torn."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFolderUnusableError(
            f"cannot be read ({error.strerror})", source=path, hint="check its permissions"
        ) from error
    digest, content = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    whole: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return whole
