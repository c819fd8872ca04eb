"""The one reader: ordered, bounded, threaded, a failure is a value."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import read_number, write_clip
from videoclf.errors import SourceMissingError
from videoclf.media.reader import Chunks, ClipRequest, ReadEnd, ReadWindow, read_clips, read_clips_or_wait


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{n:02}.avi", n) for n in range(5, 25)]


def numbers(chunks: Chunks) -> list[int]:
    return [read_number(rgb) for chunk in chunks for rgb in chunk.rgb]


def read(requests: list[ClipRequest], num_threads: int = 2) -> list[ReadWindow[list[int]] | ReadEnd]:
    return list(read_clips(requests, numbers, num_threads=num_threads))


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_clips_come_in_the_order_of_the_requests(clips: list[Path], num_threads: int) -> None:
    items = read([ClipRequest(clip, fps=25, max_frames=99) for clip in clips], num_threads)
    windows = [item for item in items if isinstance(item, ReadWindow)]
    assert [window.request_index for window in windows] == list(range(len(clips)))
    assert [window.value for window in windows] == [list(range(n)) for n in range(5, 25)]


def test_a_long_clip_comes_in_windows_and_then_ends(clips: list[Path]) -> None:
    *windows, end = read([ClipRequest(clips[-1], fps=25, max_frames=10)])
    assert [item.value for item in windows if isinstance(item, ReadWindow)] == [
        list(range(8)), list(range(8, 16)), list(range(16, 24)),
    ]  # fmt: skip
    assert isinstance(end, ReadEnd)
    assert end.failure is None


def test_a_seed_picks_one_window_always_the_same(clips: list[Path]) -> None:
    picked = set()
    for seed in range(20):
        request = ClipRequest(clips[-1], fps=25, max_frames=10, window_seed=seed)
        first, again = read([request]), read([request])
        assert len(first) == 2
        assert first[0] == again[0]
        assert isinstance(first[0], ReadWindow)
        picked.add(first[0].value[0])
    assert picked == {0, 8, 16}


def test_shuffling_keeps_the_frames_and_loses_the_order_the_same_way_each_time(clips: list[Path]) -> None:
    request = ClipRequest(clips[-1], fps=25, max_frames=99, shuffle_time=True)
    first, again = read([request])[0], read([request])[0]
    assert isinstance(first, ReadWindow)
    assert first == again
    assert first.value != list(range(24))
    assert sorted(first.value) == list(range(24))


def test_a_bad_file_is_a_value_and_the_rest_goes_on(clips: list[Path]) -> None:
    requests = [ClipRequest(path, fps=25, max_frames=99) for path in (clips[0], Path("gone.avi"), clips[1])]
    ends = [item for item in read(requests) if isinstance(item, ReadEnd)]
    assert [end.request_index for end in ends] == [0, 1, 2]
    assert [type(end.failure) for end in ends] == [type(None), SourceMissingError, type(None)]


def test_repeated_frames_are_counted(clips: list[Path]) -> None:
    end = read([ClipRequest(clips[0], fps=50, max_frames=99)])[-1]
    assert isinstance(end, ReadEnd)
    assert end.num_repeated == 5


def test_a_fault_in_the_transform_is_raised_not_swallowed(clips: list[Path]) -> None:
    def fail(_: Chunks) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(read_clips([ClipRequest(clips[0], fps=25, max_frames=99)], fail, num_threads=2))


def test_a_fault_in_the_requests_is_raised_not_swallowed() -> None:
    def requests() -> Iterator[ClipRequest]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        list(read_clips(requests(), numbers, num_threads=2))


def test_no_requests_give_nothing() -> None:
    assert read([]) == []


def test_endless_requests_are_taken_only_as_they_are_needed(clips: list[Path]) -> None:
    num_taken = 0

    def requests() -> Iterator[ClipRequest]:
        nonlocal num_taken
        for clip in itertools.cycle(clips):
            num_taken += 1
            yield ClipRequest(clip, fps=25, max_frames=99)

    ends = (item for item in read_clips(requests(), numbers, num_threads=2) if isinstance(item, ReadEnd))
    assert len(list(itertools.islice(ends, 30))) == 30
    assert num_taken <= 30 + 4 + 2


def test_threads_end_with_the_consumer(clips: list[Path]) -> None:
    before = threading.active_count()
    items = read_clips([ClipRequest(clip, fps=25, max_frames=1) for clip in clips], numbers, num_threads=3)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_chunks_are_bounded(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", 50)
    sizes = read_clips([ClipRequest(clip, 25, 99)], lambda chunks: [len(chunk) for chunk in chunks], num_threads=1)
    window = next(iter(sizes))
    assert isinstance(window, ReadWindow)
    assert np.sum(window.value) == 50
    assert max(window.value) <= 16


@pytest.mark.parametrize("num_threads", [0, -1])
def test_no_threads_are_refused(num_threads: int) -> None:
    with pytest.raises(ValueError, match="num_threads must be at least 1"):
        list(read_clips([], numbers, num_threads=num_threads))


def test_a_slow_list_does_not_hold_back_what_is_there(clips: list[Path]) -> None:
    go_on = threading.Event()

    def requests() -> Iterator[ClipRequest]:
        yield ClipRequest(clips[0], fps=25, max_frames=99)
        go_on.wait(20)

    items = read_clips_or_wait(requests(), numbers, num_threads=2, max_wait_seconds=0.1)
    kinds = [type(next(items)), type(next(items)), type(next(items))]
    go_on.set()
    assert kinds == [ReadWindow, ReadEnd, type(None)]


def test_closing_does_not_wait_for_a_list_that_hangs(clips: list[Path]) -> None:
    go_on = threading.Event()

    def requests() -> Iterator[ClipRequest]:
        yield ClipRequest(clips[0], fps=25, max_frames=99)
        go_on.wait(60)

    items = read_clips(requests(), numbers, num_threads=1)
    next(items)
    started = time.perf_counter()
    items.close()  # type: ignore[attr-defined]
    waited_seconds = time.perf_counter() - started
    go_on.set()
    assert waited_seconds < 10


def test_frames_of_a_file_whose_name_is_no_utf8_can_be_shuffled(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", 5).rename(tmp_path / "clip\udcff.avi")
    assert len(read([ClipRequest(clip, fps=25, max_frames=99, shuffle_time=True)])) == 2


def test_jittered_moments_stay_in_order_and_within_the_clip(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", 50)  # 2 s at 25 a second
    still = ClipRequest(path, fps=5, max_frames=64, window_seed=3)
    plain, _, moved, _ = read([still, replace(still, jitter_steps=0.5)])
    assert isinstance(plain, ReadWindow)
    assert isinstance(moved, ReadWindow)
    assert plain.value == list(range(0, 50, 5))
    assert moved.value != plain.value
    assert moved.value == sorted(moved.value)
    assert all(abs(a - b) <= 3 for a, b in zip(moved.value, plain.value, strict=True))
