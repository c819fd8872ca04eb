"""The folders of caches that are kept from run to run."""

from __future__ import annotations

import os
from pathlib import Path

from videoclf.errors import RunFolderUnusableError


def cache_folder(kind: str) -> Path:
    """The folder of this name in ``$VIDEOCLF_CACHE``, ``$XDG_CACHE_HOME/videoclf`` or ``~/.cache/videoclf``.

    Args:
        kind: what is cached: ``features`` or ``engines``.

    Raises:
        RunFolderUnusableError: this user has no home directory.
    """
    if named := os.environ.get("VIDEOCLF_CACHE"):
        return Path(named) / kind
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if Path(xdg).is_absolute():  # others are to be ignored, says the XDG Base Directory Specification
        return Path(xdg) / "videoclf" / kind
    try:
        return Path.home() / ".cache" / "videoclf" / kind
    except RuntimeError as error:
        raise RunFolderUnusableError(
            f"{kind} cannot be kept there (this user has no home directory)",
            source="~/.cache/videoclf",
            hint="set VIDEOCLF_CACHE to a folder",
        ) from error
