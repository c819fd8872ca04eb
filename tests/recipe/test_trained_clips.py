from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from videoclf.errors import ModelFileInvalidError
from videoclf.recipe.trained_clips import METADATA_KEY, clip_hash, read_trained_clips, to_metadata

HASHES = [clip_hash(hashlib.sha256(bytes([i])).hexdigest()) for i in range(100)]


def written(folder: Path, metadata: dict[str, str]) -> Path:
    path = folder / "model.safetensors"
    save_file({"a": np.zeros(1, np.float32)}, path, metadata=metadata)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_trained_clips(written(tmp_path, to_metadata(HASHES))) == set(HASHES)


def test_a_clip_takes_16_bytes_and_stands_once() -> None:
    assert len(to_metadata([*HASHES, *HASHES])[METADATA_KEY].encode()) == 16 * 100


def test_no_clips_leave_no_entry_and_no_entry_is_no_clips(tmp_path: Path) -> None:
    assert to_metadata([]) == {}
    assert read_trained_clips(written(tmp_path, {"other": "x"})) == frozenset()


@pytest.mark.parametrize("text", [HASHES[0] + "AAAA", "*" * 16, HASHES[0][:-1], "é" * 16])
def test_a_damaged_entry_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        ModelFileInvalidError, match=r"model\.safetensors: its list of trained clips is (damaged|cut short)"
    ):
        read_trained_clips(written(tmp_path, {METADATA_KEY: text}))


def test_what_is_no_model_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(
        ModelFileInvalidError, match=r"a: is not a safetensors file, or is cut short \(.*\); download or copy it again"
    ):
        read_trained_clips(tmp_path / "a")
