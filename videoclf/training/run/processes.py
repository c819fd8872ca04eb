"""Runs one process per device, started here or by torchrun. Signals, errors and progress of each reach the caller.

Lightning Fabric starts the processes and averages gradients; this module does the rest.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from typing import Any, Literal, TypeVar

import torch
from lightning_fabric import Fabric
from torch import multiprocessing
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from videoclf.epoch_record import EpochRecord
from videoclf.errors import DeviceUnavailableError, ProcessLostError, UsageInvalidError, VideoclfError, error_from_plain
from videoclf.option_names import option
from videoclf.progress import Progress, SilentProgress
from videoclf.training.loop.collectives import process_group_of
from videoclf.training.run.interruption import Interrupted

T = TypeVar("T")

Precision = Literal["32", "bf16", "16"]
"""Bits of the computation; weights stay in 32."""

FabricPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Lightning Fabric's names, which older versions of videoclf used too."""

_FABRIC: dict[Precision, FabricPrecision] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}

Work = Callable[[Fabric, Progress, Callable[[], None]], T]
"""The work of each process. Its arguments are its Fabric, the progress, and a function to call after each clip, which
raises the exception that ends the work. It can be pickled."""

_END: tuple[str, dict[str, Any]] = ("end", {})

# the first prints what it was told to do, the second that it ends processes where one has ended: here, because child
# processes import this before Fabric speaks
for _name in ("lightning_fabric", "torch.multiprocessing.spawn"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def fabric_precision(precision: Precision | FabricPrecision) -> FabricPrecision:
    """Fabric's name.

    Raises:
        UsageInvalidError: none of these.
    """
    for name, fabric in _FABRIC.items():
        if precision in {name, fabric}:
            return fabric
    raise UsageInvalidError("unknown", source=option("precision", precision), hint=f"use {', '.join(_FABRIC)}")


def make_fabric(device: torch.device, precision: FabricPrecision, num_devices: int = 1) -> Fabric:
    """Create a Fabric with one process per device and this precision; under torchrun, with as many as torchrun has
    started.

    Raises:
        UsageInvalidError: the number of devices is below 1.
        DeviceUnavailableError: there are fewer devices, or cores.
    """
    if num_devices < 1:
        raise UsageInvalidError(
            "training needs at least one device", source=option("devices", num_devices), hint="use 1 or more"
        )
    if _is_under_torchrun():
        per_node = int(os.environ["LOCAL_WORLD_SIZE"])
        num_nodes = int(os.environ["WORLD_SIZE"]) // per_node
        return Fabric(
            accelerator=device.type, devices=per_node, num_nodes=num_nodes, strategy="ddp", precision=precision
        )
    if num_devices == 1:
        devices: int | list[int] = 1 if device.type == "cpu" else [device.index or 0]
        return Fabric(accelerator=device.type, devices=devices, precision=precision)
    if device.type == "cuda" and num_devices > torch.cuda.device_count():
        num_gpus = torch.cuda.device_count()
        raise DeviceUnavailableError(
            f"this machine has {num_gpus} GPUs",
            source=option("devices", num_devices),
            hint=f"use at most {num_gpus}",
        )
    num_cores = max(os.cpu_count() or 1, 2)  # two can be tried anywhere
    if device.type == "cpu" and num_devices > num_cores:
        raise DeviceUnavailableError(
            f"each process on the CPU needs a core, and there are {num_cores}",
            source=option("devices", num_devices),
            hint=f"use at most {num_cores}",
        )
    return Fabric(accelerator=device.type, devices=num_devices, strategy="ddp_spawn", precision=precision)


def is_first_process() -> bool:
    """Whether this is the first process, as far as is known before processes are connected."""
    return int(os.environ.get("RANK", "0")) == 0 if _is_under_torchrun() else True


def in_processes(
    work: Work[T], fabric: Fabric, progress: Progress, check: Callable[[], None], stop: Callable[[Event], object]
) -> T:
    """Run the work in all processes, and return the result of the first one.

    Args:
        work: done by all processes.
        fabric: from `make_fabric`, not launched yet.
        progress: receives the progress of the first process, and the notices of all.
        check: raises if this process was asked to stop.
        stop: receives an event, which it must set when this process is asked to stop.

    Raises:
        VideoclfError: the work raised it in one of them.
        ProcessLostError: one of them was killed.
        Interrupted: they were asked to stop.
    """
    if _is_under_torchrun() or fabric.world_size == 1:
        fabric.launch()
        return work(fabric, progress if fabric.is_global_zero else SilentProgress(), check)
    context = multiprocessing.get_context("spawn")
    channel, is_asked_to_stop = context.Queue(), context.Event()
    stop(is_asked_to_stop)
    results: list[T] = []
    failures: list[VideoclfError] = []
    listener = threading.Thread(target=_listen, args=(channel, progress, results, failures), daemon=True)
    listener.start()
    try:
        launch: Callable[..., None] = fabric.launch
        launch(_in_child, work, channel, is_asked_to_stop)
    except (ProcessRaisedException, ProcessExitedException) as error:
        channel.put(_END)
        listener.join()
        check()
        if failures:
            raise failures[0] from None
        if isinstance(error, ProcessExitedException):
            raise ProcessLostError(
                f"training process {error.error_index} ended without a message ({error}), possibly out of memory",
                hint=f"lower training.batch_size or {option('devices')}; {option('resume')} continues",
            ) from error
        raise
    channel.put(_END)
    listener.join()
    return results[0]


def from_first(fabric: Fabric, make: Callable[[], T]) -> T:
    """Compute a value in the first process and return it in all; called in every process of a launched Fabric."""
    if not _is_under_torchrun():
        return make()
    process_group = process_group_of(fabric)
    return process_group.gather(make() if process_group.rank == 0 else None)[0]  # type: ignore[return-value]  # the first is never None


def _is_under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ and "LOCAL_WORLD_SIZE" in os.environ


def _end_with_parent() -> None:
    """The parent holds the lock on the run's folder: once it was killed, another run may begin there."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _in_child(fabric: Fabric, work: Work[Any], channel: Queue[Any], is_asked_to_stop: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and says what to do
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if fabric.device.type == "cpu":
        torch.set_num_threads(max(1, torch.get_num_threads() // fabric.world_size))
    is_first = fabric.is_global_zero

    def check() -> None:
        if is_first and is_asked_to_stop.is_set():
            raise Interrupted(signal.SIGINT)

    try:
        result = work(fabric, _Sender(channel, is_first=is_first), check)
        if is_first:
            channel.put(("result", {"value": result}))
    except VideoclfError as error:
        channel.put(("error", error.to_plain()))
        raise
    except Interrupted as error:
        # torch takes a KeyboardInterrupt for an orderly end, and would wait for the other processes
        raise RuntimeError("interrupted") from error
    finally:
        channel.close()
        channel.join_thread()


class _Sender:
    """An progress in a child process: what it is told, the parent's progress is told."""

    def __init__(self, channel: Queue[Any], *, is_first: bool) -> None:
        self._channel = channel
        self._is_first = is_first

    def stage(self, name: str, total: int) -> None:
        if self._is_first:
            self._channel.put(("stage", {"name": name, "total": total}))

    def advance(self) -> None:
        if self._is_first:
            self._channel.put(("advance", {}))

    def step(self, *, loss: float, top1: float, waiting_share: float) -> None:
        if self._is_first:
            self._channel.put(("step", {"loss": loss, "top1": top1, "waiting_share": waiting_share}))

    def epoch(self, record: EpochRecord, *, is_best: bool) -> None:
        if self._is_first:
            self._channel.put(("epoch", {"record": record, "is_best": is_best}))

    def notice(self, text: str) -> None:
        self._channel.put(("notice", {"text": text}))


def _listen(channel: Queue[Any], progress: Progress, results: list[Any], failures: list[VideoclfError]) -> None:
    while True:
        what, values = channel.get()
        if what == "end":
            return
        if what == "error":
            failures.append(error_from_plain(values))
        elif what == "result":
            results.append(values["value"])
        else:
            getattr(progress, what)(**values)
