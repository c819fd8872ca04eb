"""What a training process does: from a recipe and a split to a model file in the run's folder."""

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
from videoclf.training.loop.collectives import team_of
from videoclf.training.loop.position import Place, Spent
from videoclf.training.run.fit_and_refit import learn
from videoclf.training.run.folder import RunFolder
from videoclf.training.run.initialization import choose_cache, identify_first_weights
from videoclf.training.run.interruption import InterruptibleProgress
from videoclf.training.run.trainer_factory import TrainerFactory


@dataclass(frozen=True)
class Job:
    """All that a process needs to take its part in a training; can be pickled."""

    recipe: Recipe
    header: ModelHeader
    """What the model file will say of the model."""
    parts: Split
    group_regex: str | None
    """By which groups were found, where it was given."""
    folder: Path
    is_resumed: bool
    init: str | Path | None
    inherited_clips: frozenset[str]
    """Hashes of the clips that the first weights were trained on."""
    backbone: Backbone | None
    device_map: str | None
    """Which part of the network lies on which device; None: all on the process's own."""
    feature_cache: FeatureCache | str | Path | None
    num_threads: int
    """Videos decoded at once, by each process."""
    reading: ReadOptions
    precision: str
    checkpoint_seconds: float
    max_unreadable: float


@dataclass(frozen=True)
class Outcome:
    """What a training came to; the model itself is in the run's folder."""

    records: tuple[EpochRecord, ...]
    """One an epoch."""
    kept: EpochRecord
    """The epoch whose weights were kept, or up to which the network was trained again."""
    unreadable: dict[LabelledClip, str]
    """Clips that were left out, and why."""
    environment: dict[str, str]
    peak_memory_bytes: int
    """Of the first process: of its GPU, or of all it holds on the CPU."""


def do_job(job: Job, fabric: Fabric, progress: Progress, check: Callable[[], None]) -> Outcome:
    """Train; the log and the best model so far are in the folder after every epoch, the calibrated one in the end.

    Args:
        job: the same in all processes.
        fabric: launched.
        progress: is told of the progress.
        check: called after each clip; raises what is to end the run.

    Raises:
        VideoclfError: as `videoclf.train` says.
        Interrupted: after a checkpoint was written.
    """
    team = team_of(fabric)
    is_first = team.rank == 0
    watcher = InterruptibleProgress(progress, check)
    num_clips = len(job.parts.train) + len(job.parts.validation)
    quarantine = Quarantine(watcher, num_clips + len(job.parts.test), job.max_unreadable)
    factory = TrainerFactory(
        fabric, job.recipe, job.header.labels, quarantine,
        choose_cache(job.feature_cache, job.recipe, watcher.notice), job.folder,
        num_threads=job.num_threads, reading=job.reading, progress=watcher, init=job.init, backbone=job.backbone,
        team=team, placement=None if job.device_map is None else parse_device_map(job.device_map),
    )  # fmt: skip
    if is_first and not job.is_resumed:
        RunFolder(job.folder).begin(
            job.recipe, job.parts, identify_first_weights(job.recipe, job.init), job.group_regex
        )
    team.gather(None)  # the others wait until the folder is as it should be
    environment = numeric_environment(fabric, job.precision)
    checkpoints = Checkpoints(
        job.folder, quarantine, environment, watcher.notice, job.checkpoint_seconds, is_writer=is_first
    )
    settings = job.recipe.training

    def begin_epoch(number: int) -> None:
        if number <= settings.epochs:
            watcher.stage(f"epoch {number} of {settings.epochs}", num_clips // team.size)

    def on_epoch(records: Sequence[EpochRecord], is_kept: bool, network: VideoClassifier) -> None:
        if is_first:
            write_atomically(job.folder / "log.csv", _log_csv(records).encode())
            if is_kept:  # at once: a run that is interrupted leaves the best so far
                save_model(job.folder / "model.safetensors", network, job.header)
        watcher.epoch(records[-1], is_best=is_kept and settings.checkpoint_choice == "best")
        begin_epoch(records[-1].epoch + 1)

    def on_refit() -> None:
        watcher.stage("training again with the validation clips", 0)

    def on_step(place: Place, spent: Spent) -> None:
        if place.num_clips:
            watcher.step(loss=place.mean_loss, top1=place.top1, waiting_share=spent.waiting_share)

    with _memory_named(job.recipe):
        learned = learn(factory.make, job.parts, settings, begin_epoch, on_epoch, on_step, on_refit, checkpoints)
    if is_first:
        header = job.header.model_copy(update={"calibration": learned.calibration})
        save_model(job.folder / "model.safetensors", learned.classifier, header)
    unreadable = {clip: reason for reasons in team.gather(quarantine.reasons) for clip, reason in reasons.items()}
    return Outcome(learned.records, learned.kept, unreadable, environment, _peak_memory_bytes(fabric.device))


def numeric_environment(fabric: Fabric, precision: str) -> dict[str, str]:
    """What the last bits of weights depend on, beside seed and clips."""
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
            f"memory is full at batches of {training.batch_size} clips of up to {recipe.sampling.max_frames} "
            f"frames of {spec.height}×{spec.width}",
            hint="lower training.batch_size (training.accumulate makes up for it), sampling.max_frames or "
            f"preprocess.height and width, and start anew with {option('overwrite')}",
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
