"""Stores which clips a model was trained on: hashes of their content in the model file, beside its header.

They are a separate entry in the file's metadata, which readers that do not know it ignore. A clip takes 16 characters:
the first 96 bits of its SHA-256 in base64. The chance that another clip is taken for one of a million is below 10^-22.
The hashes show whether a given clip was trained on; they reveal nothing about other clips.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError, safe_open

from videoclf.errors import ModelFileInvalidError, one_line

METADATA_KEY = "videoclf_trained_clips"

_HASH_BYTES = 12
_HASH_CHARACTERS = 16


def clip_hash(content_sha256: str) -> str:
    """The hash of a file's content: 16 characters.

    Args:
        content_sha256: 64 hexadecimal digits.
    """
    return base64.b64encode(bytes.fromhex(content_sha256)[:_HASH_BYTES]).decode()


def to_metadata(hashes: Collection[str]) -> dict[str, str]:
    """The metadata that safetensors stores; empty if no clips are known."""
    return {METADATA_KEY: "".join(sorted(set(hashes)))} if hashes else {}


def parse_trained_clips(text: str, path: Path) -> frozenset[str]:
    """Parse the hashes in a metadata entry; the path names the file in messages.

    Raises:
        ModelFileInvalidError: the entry is not a result of `to_metadata`.
    """
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ModelFileInvalidError(
            "its list of trained clips is damaged", source=path, hint="download or copy the file again"
        ) from error
    if len(text) % _HASH_CHARACTERS:
        raise ModelFileInvalidError(
            "its list of trained clips is cut short", source=path, hint="download or copy the file again"
        )
    return frozenset(text[i : i + _HASH_CHARACTERS] for i in range(0, len(text), _HASH_CHARACTERS))


def read_trained_clips(path: Path) -> frozenset[str]:
    """Read the hashes in a model file; none if it was written before they were stored.

    Raises:
        ModelFileInvalidError: the file is not a model file, or is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ModelFileInvalidError(
            f"is not a safetensors file, or is cut short ({one_line(error)})",
            source=path,
            hint="download or copy it again",
        ) from error
    return parse_trained_clips(metadata.get(METADATA_KEY, ""), path)
