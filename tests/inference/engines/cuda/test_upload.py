"""Bytes arrive as they were sent, through few buffers, from many threads; chunks meet their neighbours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from videoclf.inference.engines.cuda.upload import Staging, Stream, wait_for, with_neighbours
from videoclf.media.frames import RgbFrames

CPU = torch.device("cpu")
WHERE = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def chunk(first: int, num_frames: int) -> RgbFrames:
    """Each frame filled with its number."""
    numbers = np.arange(first, first + num_frames, dtype=np.uint8)
    return RgbFrames(np.broadcast_to(numbers[:, None, None, None], (num_frames, 2, 3, 3)), numbers.astype(float), "x")


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("buffer_bytes", [7, 1000, 10_000])
def test_bytes_of_many_threads_arrive_whole_and_in_order(where: str, buffer_bytes: int) -> None:
    device = torch.device(where)
    stream = Stream(device)
    staging = Staging(device, stream, num_buffers=2, buffer_bytes=buffer_bytes)
    rng = np.random.default_rng(0)
    sent = [[rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((2, 5, 7, 3), (1, 3), (40,))] for _ in range(20)]

    def send(arrays: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> torch.Tensor:
        with stream.entered():
            return staging.upload(arrays)

    with ThreadPoolExecutor(4) as pool:
        arrived = list(pool.map(send, sent))
    wait_for(stream.mark(), device)
    expected = [torch.from_numpy(np.concatenate([array.ravel() for array in arrays])) for arrays in sent]
    assert all(torch.equal(found.cpu(), right) for found, right in zip(arrived, expected, strict=True))


def test_a_failed_upload_gives_its_buffer_back(monkeypatch: pytest.MonkeyPatch) -> None:
    staging = Staging(CPU, Stream(CPU), num_buffers=1, buffer_bytes=8)

    def fail() -> None:
        raise RuntimeError("no mark")

    with monkeypatch.context() as patch:
        patch.setattr(Stream, "mark", lambda _: fail())
        with pytest.raises(RuntimeError, match="no mark"):
            staging.upload([np.zeros(3, np.uint8)])
    assert staging.upload([np.arange(20, dtype=np.uint8)]).tolist() == list(range(20))


@pytest.mark.parametrize("where", WHERE)
def test_frames_that_are_used_again_at_once_were_already_taken(where: str) -> None:
    device = torch.device(where)
    stream = Stream(device)
    staging = Staging(device, stream, buffer_bytes=4096)
    array = np.full((3, 1 << 16), 5, np.uint8)
    with stream.entered():
        arrived = staging.upload([array])
    array[:] = 9
    wait_for(stream.mark(), device)
    assert bool((arrived == 5).all())


def pieces(lengths: list[int], reach: int) -> list[tuple[list[int], int, int]]:
    firsts = np.cumsum([0, *lengths])
    chunks = (chunk(int(first), length) for first, length in zip(firsts, lengths, strict=False))
    found = []
    for piece in with_neighbours(chunks, reach):
        assert piece.num_frames == sum(map(len, piece.arrays))
        found.append(([int(n) for array in piece.arrays for n in array[:, 0, 0, 0]], piece.first, piece.end))
    return found


def test_without_reach_a_chunk_comes_alone() -> None:
    assert pieces([2, 2, 1], 0) == [([0, 1], 0, 2), ([2, 3], 0, 2), ([4], 0, 1)]


def test_a_chunk_comes_with_the_frame_before_and_the_frame_after() -> None:
    assert pieces([2, 2, 1], 1) == [([0, 1, 2], 0, 2), ([1, 2, 3, 4], 1, 3), ([3, 4], 1, 2)]


def test_a_single_chunk_has_no_neighbours() -> None:
    assert pieces([3], 1) == [([0, 1, 2], 0, 3)]
    assert pieces([], 1) == []
