"""The work of a training process: from a recipe and a split to a model file in the run's folder."""

from __future__ import annotations

import csv
import io
import platform
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from lightning_fabric import Fabric

from videoclf.data.dataset import LabelledClip
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.splits import Split
from videoclf.epoch_record import EpochRecord
from videoclf.errors import MemoryExhaustedError
from videoclf.files import write_atomically
from videoclf.media.options import ReadOptions
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.checkpoint import save_model
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.device_map import parse_device_map
from videoclf.option_names import option
from videoclf.progress import Progress
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.decoded import Quarantine
from videoclf.training.loop.checkpoints import Checkpoints
from videoclf.training.loop.collectives import process_group_of
from videoclf.training.loop.position import Position, Spent
from videoclf.training.run.fit_and_refit import fit
from videoclf.training.run.folder import RunFolder
from videoclf.training.run.initialization import choose_cache, identify_first_weights
from videoclf.training.run.interruption import InterruptibleProgress
from videoclf.training.run.probed import Probed, run_probe
from videoclf.training.run.trainer_factory import TrainerFactory, TrainingSetup


@dataclass(frozen=True)
class TrainingTask:
    """Everything that a process needs for its part of a training. It can be pickled."""

    recipe: Recipe
    header: ModelHeader
    """The header of the model file."""
    parts: Split
    group_regex: str | None
    """The expression with which groups were found, if one was given."""
    folder: Path
    is_resumed: bool
    init: str | Path | None
    inherited_clips: frozenset[str]
    """Hashes of the clips that the first weights were trained on."""
    backbone: Backbone | None
    device_map: str | None
    """The device of each part of the network; None: all on the process's own device."""
    feature_cache: FeatureCache | str | Path | None
    num_threads: int
    """Number of videos that each process decodes at once."""
    reading: ReadOptions
    precision: str
    checkpoint_seconds: float
    max_unreadable: float


@dataclass(frozen=True)
class Outcome:
    """The result of a training. The model itself is in the run's folder."""

    records: tuple[EpochRecord, ...]
    """One for each epoch."""
    kept: EpochRecord
    """The epoch whose weights were kept, or up to which the network was trained again."""
    unreadable: dict[LabelledClip, str]
    """Clips that were left out, and why."""
    environment: dict[str, str]
    peak_memory_bytes: int
    """Peak memory of the first process: of its GPU, or of the process itself on a CPU."""
    probed: Probed
    """What a linear probe on the same features says."""


def run_task(task: TrainingTask, fabric: Fabric, progress: Progress, check: Callable[[], None]) -> Outcome:
    """Train. After every epoch the log and the best model so far are in the folder, at the end the calibrated model.

    Args:
        task: the same in all processes.
        fabric: already launched.
        progress: receives the progress.
        check: called after each clip; raises the exception that ends the run.

    Raises:
        VideoclfError: as `videoclf.train` says.
        Interrupted: after a checkpoint was written.
    """
    process_group = process_group_of(fabric)
    is_first = process_group.rank == 0
    watcher = InterruptibleProgress(progress, check)
    num_clips = len(task.parts.train) + len(task.parts.validation)
    quarantine = Quarantine(watcher, num_clips + len(task.parts.test), task.max_unreadable)
    factory = TrainerFactory(
        fabric,
        TrainingSetup(task.recipe, task.header.labels, task.num_threads, task.reading, task.init, task.backbone),
        quarantine, choose_cache(task.feature_cache, task.recipe, watcher.notice), task.folder, progress=watcher,
        process_group=process_group, placement=None if task.device_map is None else parse_device_map(task.device_map),
    )  # fmt: skip
    if is_first and not task.is_resumed:
        RunFolder(task.folder).begin(
            task.recipe, task.parts, identify_first_weights(task.recipe, task.init), task.group_regex
        )
    process_group.gather(None)  # the others wait until the folder is as it should be
    environment = numeric_environment(fabric, task.precision)
    checkpoints = Checkpoints(
        task.folder, quarantine, environment, watcher.notice, task.checkpoint_seconds, is_writer=is_first
    )
    settings = task.recipe.training

    def begin_epoch(number: int) -> None:
        if number <= settings.epochs:
            watcher.stage(f"epoch {number} of {settings.epochs}", num_clips // process_group.size)

    def on_epoch(records: Sequence[EpochRecord], is_kept: bool, network: VideoClassifier) -> None:
        if is_first:
            write_atomically(task.folder / "log.csv", _log_csv(records).encode())
            if is_kept:  # at once: a run that is interrupted leaves the best so far
                save_model(task.folder / "model.safetensors", network, task.header)
        watcher.epoch(records[-1], is_best=is_kept and settings.checkpoint_choice == "best")
        begin_epoch(records[-1].epoch + 1)

    def on_prepare(num_clips: int) -> None:
        if task.recipe.backbone.frozen:
            watcher.stage("features", num_clips // process_group.size)

    def on_refit() -> None:
        watcher.stage("training again with the validation clips", 0)

    def on_step(position: Position, spent: Spent) -> None:
        if position.num_clips:
            watcher.step(loss=position.mean_loss, top1=position.top1, waiting_share=spent.waiting_share)

    with _memory_named(task.recipe):
        fitted = fit(
            factory.make, task.parts, settings, begin_epoch, on_epoch, on_step, on_refit, checkpoints,
            on_prepare=on_prepare, chooses_ridge_share=task.recipe.head.chooses_ridge_share,
        )  # fmt: skip
        probed = run_probe(factory.probe, task.parts, task.header.labels, watcher)
    if is_first:
        header = task.header.model_copy(update={"calibration": fitted.calibration})
        save_model(task.folder / "model.safetensors", fitted.classifier, header)
    unreadable = {
        clip: reason for reasons in process_group.gather(quarantine.reasons) for clip, reason in reasons.items()
    }
    peak = _peak_memory_bytes(fabric.device)
    return Outcome(fitted.records, fitted.kept, unreadable, environment, peak, probed)


def numeric_environment(fabric: Fabric, precision: str) -> dict[str, str]:
    """What the last bits of weights depend on, besides seed and clips."""
    device = fabric.device
    is_gpu = device.type == "cuda"
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("videoclf", "torch", "torchvision", "av")},
        "num_processes": str(fabric.world_size),
        "num_torch_threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name(device) if is_gpu else torch.backends.cpu.get_cpu_capability(),
        "precision": precision,
    }


@contextmanager
def _memory_named(recipe: Recipe) -> Iterator[None]:
    """Where memory runs out, say what of the recipe takes it."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
        if not is_memory:
            raise
        spec, training = recipe.preprocess, recipe.training
        raise MemoryExhaustedError(
            f"memory ran out with batches of {training.batch_size} clips of up to {recipe.sampling.max_frames} "
            f"frames of {spec.height}×{spec.width}",
            hint="lower training.batch_size (training.accumulate makes up for it), sampling.max_frames or "
            f"preprocess.height and width, and start again with {option('overwrite')}",
        ) from error


def _peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _log_csv(records: Sequence[EpochRecord]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(EpochRecord.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.model_dump() for record in records)
    return buffer.getvalue()
