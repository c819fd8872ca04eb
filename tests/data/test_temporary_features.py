from __future__ import annotations

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.features import FEATURES, KEY, steps
from videoclf.data.feature_entry import ClipFeatures
from videoclf.data.temporary_features import TemporaryFeatures
from videoclf.errors import RunFolderUnusableError


def test_what_was_stored_comes_back(tmp_path: Path) -> None:
    store = TemporaryFeatures(tmp_path)
    other = replace(KEY, name="other")
    store.store(other, ClipFeatures((steps(3, seed=9),), (3,)))
    store.store(KEY, FEATURES)
    layout = store.find(KEY)
    assert layout is not None
    np.testing.assert_array_equal(store.load(layout, 1), FEATURES.windows[1], strict=True)
    assert store.find(replace(KEY, name="neither")) is None


def test_the_file_has_no_name(tmp_path: Path) -> None:
    TemporaryFeatures(tmp_path).store(KEY, FEATURES)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    store = TemporaryFeatures(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            RunFolderUnusableError, match=f"{tmp_path}: the frozen backbone's features cannot be stored there"
        ):
            store.store(KEY, ClipFeatures((steps(1000),), (1000,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderUnusableError, match="gone: the frozen backbone's features"):
        TemporaryFeatures(tmp_path / "gone")
