"""How many threads torch computes with, where several of ours compute at once, and whose they are after a fork."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import torch

from videoclf.errors import DeviceUnavailableError

_here = threading.local()

P = ParamSpec("P")
Result = TypeVar("Result")


def compute_alone() -> None:
    """From now on, what torch computes in the calling thread it computes in this thread alone; other threads, and those
    that come later, stay as they were. In the main thread, which is the network's, it does nothing.

    By itself torch gives each thread that computes a team as large as the machine. The reader's teams then keep the
    network's waiting: predicting took 1.4 times as long as reading and the network one after the other.
    """
    if getattr(_here, "is_alone", False) or threading.current_thread() is threading.main_thread():
        return
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # that is also what threads of later start with, unless another thread says otherwise
    others = threading.Thread(target=torch.set_num_threads, args=(num_threads,))
    others.start()
    others.join()
    _here.is_alone = True


def beside_lost_threads(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Call a function that computes with torch; in a process that was forked from one where this was done before, in a
    thread that the child starts.

    torch computes with a team of threads (OpenMP's), which belongs to the thread that called it. `os.fork()` leaves the
    team behind, and the thread that forked would wait for it for ever. Any other thread gets a team of its own.
    """
    if _first_process() == os.getpid() or threading.current_thread() is not threading.main_thread():
        return function(*args, **kwargs)
    return _thread_of_process(os.getpid()).submit(function, *args, **kwargs).result()


def refuse_after_fork(device: torch.device, process_id: int) -> None:
    """What lies on a GPU belongs to the process that put it there.

    Args:
        device: where it lies.
        process_id: of that process.

    Raises:
        DeviceUnavailableError: a GPU's, in another process.
    """
    if device.type == "cuda" and process_id != os.getpid():
        raise DeviceUnavailableError(
            "the model was loaded before os.fork(), and a GPU cannot be used on both sides of it",
            source=device,
            hint="start processes by spawn, or load the model in each of them, and none before",
        )


@functools.cache
def _first_process() -> int:
    """Where torch computed first; a forked process knows it, too."""
    return os.getpid()


@functools.cache
def _thread_of_process(process_id: int) -> ThreadPoolExecutor:
    """By process: a forked one has none of its parent's."""
    del process_id
    return ThreadPoolExecutor(1)
