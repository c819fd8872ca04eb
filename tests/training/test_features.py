"""Features on disk for the length of a run."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch

from videoclf.data.dataset import LabelledClip
from videoclf.errors import RunFolderUnusable
from videoclf.training.features import FeatureStore

CLIPS = [LabelledClip(Path(f"{i}.avi"), "walk", None) for i in range(3)]


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    windows = {
        clip: [[torch.randn(i + 1, 4), torch.randn(i + 1, 4)], [torch.randn(2, 4)]] for i, clip in enumerate(CLIPS)
    }
    for clip, sequences in windows.items():
        store.put(clip, sequences)
    for clip, sequences in windows.items():
        assert clip in store
        for places, expected in zip(store.places(clip), sequences, strict=True):
            assert all(torch.equal(store.load(place), e) for place, e in zip(places, expected, strict=True))


def test_a_clip_that_was_not_put_is_not_there(tmp_path: Path) -> None:
    assert CLIPS[0] not in FeatureStore(tmp_path)


def test_the_file_has_no_name(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.put(CLIPS[0], [[torch.zeros(5, 5)]])
    assert list(tmp_path.iterdir()) == []


def test_what_is_loaded_is_ones_own(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    store.put(CLIPS[0], [[torch.zeros(2, 2)]])
    store.load(store.places(CLIPS[0])[0][0]).fill_(7)
    assert store.load(store.places(CLIPS[0])[0][0]).eq(0).all()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(RunFolderUnusable, match=f"{tmp_path}: the frozen backbone's features cannot be kept there"):
            store.put(CLIPS[0], [[torch.zeros(1000, 10)]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
