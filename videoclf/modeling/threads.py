"""How many threads torch computes with, where several of ours compute at once."""

from __future__ import annotations

import threading

import torch

_here = threading.local()


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
