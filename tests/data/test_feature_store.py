from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.features import FEATURES, KEY, steps
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.feature_entry import ClipFeatures
from videoclf.data.feature_store import FeatureStore
from videoclf.errors import RunFolderUnusableError


def unwritable_cache(tmp_path: Path) -> FeatureCache:
    (tmp_path / "file").touch()
    return FeatureCache(tmp_path / "file")


@pytest.mark.parametrize("has_cache", [True, False])
def test_what_was_stored_is_loaded(tmp_path: Path, has_cache: bool) -> None:
    store = FeatureStore(FeatureCache(tmp_path / "cache") if has_cache else None, tmp_path, pytest.fail)
    assert store.find(KEY) is None
    layout = store.store(KEY, FEATURES)
    assert store.find(KEY) == layout
    np.testing.assert_array_equal(store.load(KEY, layout, 1), FEATURES.windows[1], strict=True)
    assert store.num_bytes_written >= (5 + 4) * 4 * 4


def test_without_a_cache_nothing_is_left(tmp_path: Path) -> None:
    FeatureStore(None, tmp_path, pytest.fail).store(KEY, FEATURES)
    assert list(tmp_path.iterdir()) == []


def test_where_the_cache_cannot_be_written_the_run_goes_on_and_says_so_once(tmp_path: Path) -> None:
    notices: list[str] = []
    store = FeatureStore(unwritable_cache(tmp_path), tmp_path, notices.append)
    for name in ("a", "b"):
        layout = store.store(replace(KEY, name=name), FEATURES)
        assert store.load(replace(KEY, name=name), layout, 0) is not None
    assert len(notices) == 1
    assert notices[0].startswith(f"{tmp_path / 'file'}: features cannot be stored there")
    assert notices[0].endswith("new features are kept for this run only")


def test_a_cache_that_can_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = FeatureCache(tmp_path / "cache")
    cache.store(KEY, FEATURES)

    def refuse(*_: object) -> int:
        raise RunFolderUnusableError("cache: features cannot be stored there (Read-only file system)")

    monkeypatch.setattr(cache, "store", refuse)
    store = FeatureStore(cache, tmp_path, lambda _: None)
    store.store(replace(KEY, name="new"), FEATURES)
    for key in (KEY, replace(KEY, name="new")):
        layout = store.find(key)
        assert layout is not None
        assert store.load(key, layout, 1) is not None


def test_without_a_temporary_folder_an_unwritable_cache_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunFolderUnusableError, match="features cannot be stored there"):
        FeatureStore(unwritable_cache(tmp_path), None, pytest.fail).store(KEY, FEATURES)


def test_what_was_used_last_stays_in_memory_up_to_a_bound(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")
    one = ClipFeatures((steps(10),), (10,))
    store = FeatureStore(cache, tmp_path, pytest.fail, max_memory_bytes=2 * 10 * 4 * 4)
    keys = [replace(KEY, name=name) for name in "abc"]
    layouts = [store.store(key, one) for key in keys]
    for key, layout in zip(keys, layouts, strict=True):
        store.load(key, layout, 0)
        cache.path_of(key).unlink()
    still_there = [store.load(key, layout, 0) is not None for key, layout in zip(keys, layouts, strict=True)]
    assert still_there == [False, True, True]
