from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import pytest

from videoclf.data import demo
from videoclf.data.dataset import load_dataset
from videoclf.data.demo import ORDERS, render_demo_data
from videoclf.errors import RunFolderUnusableError
from videoclf.media.frames import UInt8Array


def decoded(path: Path) -> UInt8Array:
    """``T×H×W`` grey frames."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])


def corners_visited(path: Path) -> list[tuple[bool, bool]]:
    """Where the disc stands, one visit after the other: whether it is on the right, and whether below."""
    grey = decoded(path).astype(np.int16)
    bright = grey - grey.min(axis=0)  # the disc is brighter than any background; each place is bare at some time
    rows, columns = np.indices(grey.shape[1:])
    visits = []
    for picture in bright * (bright > 60):
        x, y = (picture * columns).sum() / picture.sum(), (picture * rows).sum() / picture.sum()
        visits.append((bool(x > grey.shape[2] / 2), bool(y > grey.shape[1] / 2)))
    return [place for place, _ in groupby(visits)]


@pytest.fixture
def one_small_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "NUM_GROUPS", 1)
    monkeypatch.setattr(demo, "NUM_CLIPS_PER_GROUP", 1)


def test_every_class_has_six_clips_of_each_of_twelve_groups(demo_folder: Path) -> None:
    dataset = load_dataset(demo_folder)
    assert dataset.labels == tuple(sorted(ORDERS))
    assert dataset.groups == tuple(f"g{group:02}" for group in range(1, 13))
    assert set(Counter((clip.label, clip.group) for clip in dataset.clips).values()) == {6}


def test_clips_are_named_like_ucf101s(demo_folder: Path) -> None:
    assert (demo_folder / "Clockwise/v_Clockwise_g01_c01.avi").is_file()
    assert (demo_folder / "ZigzagDown/v_ZigzagDown_g12_c06.mp4").is_file()


@pytest.mark.parametrize("label", ORDERS)
@pytest.mark.parametrize("ending", ["g01_c01.avi", "g04_c03.mp4", "g07_c06.avi"])
def test_a_clip_visits_the_corners_in_its_classs_order(demo_folder: Path, label: str, ending: str) -> None:
    round_of_class = [(x > 0.5, y > 0.5) for x, y in ORDERS[label]]
    visited = corners_visited(demo_folder / label / f"v_{label}_{ending}")
    start = round_of_class.index(visited[0])
    assert 5 <= len(visited) <= 9
    assert visited == [round_of_class[(start + visit) % 4] for visit in range(len(visited))]


def test_all_classes_visit_the_same_four_places_in_different_orders() -> None:
    assert len({frozenset(places) for places in ORDERS.values()}) == 1
    rounds = {tuple(places[(places.index(min(places)) + i) % 4] for i in range(4)) for places in ORDERS.values()}
    assert len(rounds) == len(ORDERS)


def test_the_clips_of_a_group_share_their_size_and_groups_differ_in_it(demo_folder: Path) -> None:
    sizes: dict[str, set[tuple[int, int]]] = {}
    for path in sorted(demo_folder.glob("*/*_c01.*")):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            sizes.setdefault(path.stem.split("_")[2], set()).add((stream.width, stream.height))
    assert all(len(of_group) == 1 for of_group in sizes.values())
    assert len(set.union(*sizes.values())) == 6


@pytest.mark.usefixtures("one_small_group")
def test_the_same_seed_gives_the_same_clips_and_another_others(tmp_path: Path) -> None:
    for name, seed in (("first", 3), ("again", 3), ("other", 4)):
        render_demo_data(tmp_path / name, seed=seed)
    clip = "Clockwise/v_Clockwise_g01_c01.avi"
    first, again, other = (decoded(tmp_path / name / clip) for name in ("first", "again", "other"))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.usefixtures("one_small_group")
def test_each_clip_written_is_announced_and_counted(tmp_path: Path) -> None:
    announced: list[int] = []
    assert render_demo_data(tmp_path / "new/folder", on_clip=lambda: announced.append(1)) == len(announced) == 4


@pytest.mark.usefixtures("one_small_group")
def test_rendering_twice_into_a_folder_leaves_the_clips_of_one(tmp_path: Path) -> None:
    render_demo_data(tmp_path)
    render_demo_data(tmp_path, overwrite=True)
    assert len(load_dataset(tmp_path).clips) == 4


@pytest.mark.usefixtures("one_small_group")
def test_clips_that_are_there_are_not_replaced_unasked(tmp_path: Path) -> None:
    mine = tmp_path / "ZigzagDown" / "v_ZigzagDown_g01_c01.avi"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(RunFolderUnusableError, match="g01_c01.avi: already exists; choose another name, or add overw"):
        render_demo_data(tmp_path, seed=4)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]


@pytest.mark.usefixtures("one_small_group")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(
        RunFolderUnusableError, match=r"taken: cannot be written \(.+\); free some space or choose another"
    ):
        render_demo_data(tmp_path / "taken")


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(
        RunFolderUnusableError, match=r"contains other files, such as model\.safetensors; choose a new or empty"
    ):
        render_demo_data(tmp_path)
