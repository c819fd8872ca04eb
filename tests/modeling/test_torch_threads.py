from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
import torch

from tests.forked import in_a_forked_process
from videoclf.errors import DeviceUnavailableError
from videoclf.modeling.torch_threads import beside_lost_threads, compute_alone, refuse_after_fork


def in_a_thread(action: Callable[[], object]) -> None:
    thread = threading.Thread(target=action)
    thread.start()
    thread.join()


def test_it_is_alone_and_others_stay_as_they_were() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen: list[int] = []

        def work() -> None:
            compute_alone()
            seen.append(torch.get_num_threads())
            in_a_thread(lambda: seen.append(torch.get_num_threads()))
            compute_alone()
            seen.append(torch.get_num_threads())

        in_a_thread(work)
        assert seen == [1, 3, 1]
        compute_alone()  # the main thread's is the network's
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def large_sum() -> float:
    """By torch's team of threads, as it is large."""
    return beside_lost_threads(lambda: float(torch.ones(1 << 22).double().sum()))


def test_a_forked_process_computes_in_a_thread_of_its_own() -> None:
    assert large_sum() == 1 << 22
    assert in_a_forked_process(lambda: (large_sum(), large_sum())) == str((large_sum(), large_sum()))


def test_what_fails_beside_lost_threads_fails_as_it_would() -> None:
    large_sum()
    assert "ZeroDivisionError" in in_a_forked_process(lambda: beside_lost_threads(lambda: 1 // 0))


def test_what_lies_on_a_gpu_stays_with_its_process() -> None:
    refuse_after_fork(torch.device("cuda:1"), os.getpid())
    refuse_after_fork(torch.device("cpu"), os.getpid() + 1)
    with pytest.raises(DeviceUnavailableError, match=r"^cuda:1: the model was loaded before os.fork\(\), .* by spawn"):
        refuse_after_fork(torch.device("cuda:1"), os.getpid() + 1)
