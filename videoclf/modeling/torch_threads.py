"""Controls how many threads torch uses when several of our threads compute at once, and after a fork."""

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
    """Make torch use only the calling thread for its computations there, from now on. Other threads, existing or new,
    are not affected. In the main thread, which runs the network, it does nothing.

    By default torch gives each thread that computes a team of threads as large as the machine. The reader's teams then
    delay the network's: prediction took 1.4 times as long as reading and the network one after the other.
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
    """Call a function that computes with torch. In a process that was forked from one that did so before, it is called
    in a new thread.

    torch computes with a team of threads (OpenMP's), which belongs to the thread that called it. The team does not
    exist after `os.fork()`, and the thread that forked would wait for it forever. Any other thread gets its own team.
    """
    if _first_process() == os.getpid() or threading.current_thread() is not threading.main_thread():
        return function(*args, **kwargs)
    return _thread_of_process(os.getpid()).submit(function, *args, **kwargs).result()


def refuse_after_fork(device: torch.device, process_id: int) -> None:
    """Check that memory of a GPU is used only in the process that allocated it.

    Args:
        device: device of the memory.
        process_id: id of the process that allocated it.

    Raises:
        DeviceUnavailableError: the device is a GPU, and this is another process.
    """
    if device.type == "cuda" and process_id != os.getpid():
        raise DeviceUnavailableError(
            "the model was loaded before os.fork(), and a GPU cannot be used on both sides of it",
            source=device,
            hint="start processes by spawn, or load the model only in the child processes",
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
