from __future__ import annotations

import threading
from collections.abc import Callable

import torch

from videoclf.modeling.threads import compute_alone


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
