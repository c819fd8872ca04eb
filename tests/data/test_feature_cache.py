"""The folder of features: what is served is what was stored, whatever happens to the files."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.features import FEATURES, KEY, steps
from videoclf.data.feature_cache import FeatureCache, default_cache_folder
from videoclf.data.feature_entry import ClipFeatures
from videoclf.errors import RunFolderUnusableError


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    cache = FeatureCache(tmp_path / "cache")
    cache.store(KEY, FEATURES)
    return cache


def test_what_was_stored_comes_back_to_another_process(cache: FeatureCache) -> None:
    again = FeatureCache(cache.folder)
    layout = again.find(KEY)
    assert layout is not None
    assert (layout.num_frames, layout.num_windows) == ((10, 8), 2)
    for window, expected in enumerate(FEATURES.windows):
        np.testing.assert_array_equal(again.load(KEY, layout, window), expected, strict=True)
    assert again.num_damaged == 0


def test_another_key_misses(cache: FeatureCache) -> None:
    assert cache.find(replace(KEY, content_sha256="00" * 32)) is None
    assert cache.num_damaged == 0


def test_nothing_is_made_before_something_is_stored(tmp_path: Path) -> None:
    assert FeatureCache(tmp_path / "cache").find(KEY) is None
    assert FeatureCache(tmp_path / "cache").size().num_entries == 0
    assert not (tmp_path / "cache").exists()


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_foreign(path: Path) -> None:
    path.write_bytes(b"PK\3\4 something else")


def flip_in_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [tear, empty, replace_by_foreign, flip_in_header])
def test_damage_is_a_counted_miss_and_is_mended(cache: FeatureCache, damage: Callable[[Path], None]) -> None:
    damage(cache.path_of(KEY))
    assert cache.find(KEY) is None
    assert cache.num_damaged == 1
    cache.store(KEY, FEATURES)
    assert cache.find(KEY) is not None


def test_a_flipped_bit_in_the_features_is_noticed_when_they_are_read(cache: FeatureCache) -> None:
    path = cache.path_of(KEY)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    layout = cache.find(KEY)
    assert layout is not None
    assert [cache.load(KEY, layout, window) is None for window in (0, 1)].count(True) == 1
    assert cache.num_damaged == 1


def test_a_file_that_goes_meanwhile_is_a_miss(cache: FeatureCache) -> None:
    layout = cache.find(KEY)
    assert layout is not None
    cache.path_of(KEY).unlink()
    assert cache.load(KEY, layout, 0) is None
    assert cache.num_damaged == 0


def test_two_processes_may_store_the_same_at_the_same_time(cache: FeatureCache) -> None:
    program = (
        "import sys; from tests.data.features import FEATURES, KEY; from videoclf.data.feature_cache import *\n"
        "for _ in range(300): FeatureCache(sys.argv[1]).store(KEY, FEATURES)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(cache.folder)], cwd=Path(__file__).parents[2])
        for _ in range(2)
    ]
    while any(process.poll() is None for process in processes):
        layout = cache.find(KEY)
        assert layout is not None
        assert cache.load(KEY, layout, 1) is not None
    assert [process.wait() for process in processes] == [0, 0]
    assert [path.name for path in cache.path_of(KEY).parent.iterdir()] == [cache.path_of(KEY).name]


def test_its_size_counts_every_file(cache: FeatureCache) -> None:
    size = cache.size()
    assert size.num_entries == 1
    assert size.size_bytes == cache.path_of(KEY).stat().st_size


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = FeatureCache(tmp_path / "file" / "cache")
    expected = (
        f"^{cache.folder}: features cannot be stored there .*; free some space, or choose another folder: feature_cache"
    )
    with pytest.raises(RunFolderUnusableError, match=expected):
        cache.store(KEY, FEATURES)
    assert cache.find(KEY) is None


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(RunFolderUnusableError, match=f"^{tmp_path}: features cannot be stored there"):
            cache.store(KEY, ClipFeatures((steps(1000),), (1000,)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("VIDEOCLF_CACHE", str(tmp_path / "own"))
    assert default_cache_folder() == tmp_path / "own" / "features"
    monkeypatch.delenv("VIDEOCLF_CACHE")
    assert default_cache_folder() == tmp_path / "xdg" / "videoclf" / "features"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification says to ignore
    assert default_cache_folder() == tmp_path / "home" / ".cache" / "videoclf" / "features"


def test_without_a_home_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("VIDEOCLF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(RunFolderUnusableError, match="this user has no home.*; set VIDEOCLF_CACHE"):
        default_cache_folder()
