"""A complete training run: from a dataset to a folder with the model, its figures and a report."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from pydantic import ValidationError

from videoclf.data.dataset import Dataset, LabelledClip, load_dataset
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.splits import Split, make_split
from videoclf.data_check.leak_search import check_before_training, check_command
from videoclf.errors import DatasetInvalidError, DeviceUnavailableError, UsageInvalidError
from videoclf.evaluation.clip_results import clip_results, label_names, truths_of, warn_of_joined_labels
from videoclf.evaluation.metrics import Metrics
from videoclf.evaluation.probe_comparison import ProbeComparison
from videoclf.evaluation.trained_on import hash_clips
from videoclf.files import refuse_unwritable, write_atomically
from videoclf.first_keywords import accepts_first_keywords
from videoclf.inference.engines.torch_engine import TorchEngine, describe_device
from videoclf.inference.model import Model
from videoclf.inference.prediction import Failure, Prediction
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.checkpoint import save_model
from videoclf.modeling.device_map import check_device_map, choose_device_map
from videoclf.modeling.open_model import open_model
from videoclf.option_names import option
from videoclf.progress import Progress, ProgressLike, SilentProgress, as_progress
from videoclf.recipe.header import Calibration, ModelHeader
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.toml_io import recipe_to_toml
from videoclf.recipe.validation_errors import describe_validation
from videoclf.results.environment import describe_environment
from videoclf.results.evaluate import metrics_of, write_predictions
from videoclf.results.report import write_report
from videoclf.training.examples.decoded import DEFAULT_MAX_UNREADABLE_SHARE, Quarantine
from videoclf.training.loop.checkpoints import DEFAULT_INTERVAL_SECONDS, remove_checkpoints
from videoclf.training.loop.linear_probe import LinearProbe
from videoclf.training.run.auto_recipe import AUTO, Candidate, FeatureSearch, auto_candidates
from videoclf.training.run.bottleneck import describe_bottleneck
from videoclf.training.run.folder import EvaluatedOn, Run, RunFolder
from videoclf.training.run.folder_lock import alone_in_out
from videoclf.training.run.initialization import (
    choose_cache,
    choose_recipe,
    identify_first_weights,
    inherited_clips,
    with_custom_backbone,
)
from videoclf.training.run.interruption import InterruptibleProgress, interruptible
from videoclf.training.run.processes import (
    FabricPrecision,
    Precision,
    fabric_precision,
    from_first,
    in_processes,
    is_first_process,
    make_fabric,
)
from videoclf.training.run.trainer_factory import TrainerFactory, TrainingSetup
from videoclf.training.run.worker import Outcome, TrainingTask, run_task


@accepts_first_keywords(group_pattern="group_regex", num_threads="workers", place="device_map", observer="progress")
@alone_in_out
def train(
    data: str | Path,
    *,
    out: str | Path,
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    init: str | Path | None = None,
    backbone: Backbone | None = None,
    split: str | None = None,
    split_files: str | Path | None = None,
    group_regex: str | None = None,
    device: str = "auto",
    device_map: str | None = None,
    num_devices: int = 1,
    precision: Precision | FabricPrecision = "32",
    workers: int = DEFAULT_NUM_THREADS,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    feature_cache: FeatureCache | str | Path | None = "auto",
    overwrite: bool = False,
    resume: bool = False,
    checkpoint_seconds: float = DEFAULT_INTERVAL_SECONDS,
    max_unreadable: float = DEFAULT_MAX_UNREADABLE_SHARE,
    allow_leaks: bool = False,
    progress: ProgressLike = None,
) -> Run:
    """Train a classifier on labelled clips. The best epoch by validation is kept, calibrated and tested once.

    Args:
        data: a folder ``CLASS/clip.avi`` or a list of ``path,label``; see `videoclf.data.dataset.load_dataset`.
        out: the run's folder: ``model.safetensors``, ``metrics.json``, ``report.html``, ``recipe.toml``, ``log.csv``,
            ``split.json``, ``predictions.jsonl``.
        recipe: a zoo name, a TOML file or a `Recipe`; by default the one of ``init``, or ``mobilenet_v2-gru``.
            ``auto``: that one with the features that suit the training side best; see
            `videoclf.training.run.auto_recipe`.
        overrides: ``section.key=value`` changes to it.
        init: a model file or name whose backbone and temporal weights are the initial weights; the head is new.
        backbone: a custom network with its weights, instead of the one that the recipe names: a `FrameBackbone` around
            any 2D network, or a `ClipBackbone` around a 3D one. The model file then names it ``custom``, and
            `videoclf.load` needs one with the same architecture.
        split: see `videoclf.data.splits.make_split`.
        split_files: folder of the official lists, if they are not beside the clips.
        group_regex: regular expression for groups in file names.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        device_map: instead of a device, the device of each part of the network, such as
            ``backbone[:7]=cuda:0,backbone[7:]=cuda:1,temporal=cuda:1,head=cuda:1``; see
            `videoclf.modeling.device_map.parse_device_map`.
        num_devices: number of processes that train together, each on its own GPU or its own share of the CPU. Under
            torchrun, its processes are used.
        precision: ``32``, ``bf16`` or ``16``; Lightning Fabric's names are accepted too.
        workers: number of videos decoded at the same time.
        reading: decoder, frame selection, isolation and limits.
        feature_cache: where a frozen backbone's features are kept from run to run: a cache, a folder, ``auto`` for
            `videoclf.data.feature_cache.default_cache_folder`; None keeps them for this run only.
        overwrite: whether a run that is already in ``out`` may be replaced.
        resume: continue the run in ``out`` with its own recipe, from its last checkpoint. The weights are the same as
            those of a run that was never interrupted (to the bit, with the same number of threads and precision). For a
            finished run its results are returned, unless something else is requested now; if there is no run, one is
            started.
        checkpoint_seconds: time between two checkpoints.
        max_unreadable: the share of the clips that may be unreadable (ten clips may in any case).
        allow_leaks: whether to continue, with a notice, if a group, or a clip and its copy, is on two sides of the
            split. Copies that were re-encoded, cut or mirrored are searched for among up to 1,000 clips.
        progress: receives the progress.

    Raises:
        RunFolderUnusableError: another training works in ``out``, or it contains a run that may not be resumed or
            replaced.
        SplitLeaksError: the split leaks, and ``allow_leaks`` is not set.
        VideoclfError: a recipe, dataset, model file, weights, device or folder cannot be used. The best model so far
            stays in ``out``.
    """
    outer = as_progress(progress) if is_first_process() else SilentProgress()
    folder = RunFolder(Path(out))
    if resume and overwrite:
        raise UsageInvalidError(
            f"{option('resume')} and {option('overwrite')} exclude each other", hint="use only one of them"
        )
    if not (resume or overwrite):
        folder.refuse_to_replace()
    is_finished = resume and folder.is_finished
    if not is_finished:
        refuse_unwritable(folder.path)
    is_resumed = resume and folder.has_begun
    candidates = _candidates(recipe, init, overrides, backbone, num_devices, outer.notice)
    settings = candidates[0].recipe if candidates else choose_recipe(recipe, init, overrides, outer.notice)
    if backbone is not None:
        settings = with_custom_backbone(settings, backbone)
    if is_resumed:
        is_asked = not candidates and (recipe is not None or init is not None or bool(overrides))
        settings = folder.recipe(settings if is_asked else None, outer.notice)
    if is_finished:
        asked = make_split(load_dataset(data, group_regex=group_regex), split, split_files=split_files)
        folder.check(asked, identify_first_weights(settings, init))
        outer.notice(f"{folder.path}: the run is finished; nothing is left to do")
        return folder.read_run()
    placement = choose_device_map(
        device, device_map
    )  # what can be refused without a look at the clips is refused before it
    check_device_map(placement, settings, backbone)
    bits = fabric_precision(precision)
    check_precision(placement.first, bits)
    fabric = make_fabric(placement.first, bits, num_devices)
    if device_map is not None and fabric.world_size > 1:
        raise UsageInvalidError(
            "the parts of one network run in one process",
            source=option("device_map"),
            hint=f"omit {option('devices')} and torchrun",
        )
    dataset = load_dataset(data, group_regex=group_regex)
    parts = make_split(dataset, split, split_files=split_files)
    if is_resumed:
        folder.check(parts, identify_first_weights(settings, init))
    joined = warn_of_joined_labels(dataset.clips, settings.training.objective)
    for line in [*dataset.warnings, parts.describe(), *parts.warnings, *joined]:
        outer.notice(line)
    header = _header(Path(out), settings, dataset)
    children: list[Event] = []

    def stop_children() -> None:
        for event in children:
            event.set()

    with interruptible(outer.notice, also=stop_children) as check:
        watcher = InterruptibleProgress(outer, check)
        if is_first_process() and not is_resumed:
            check_before_training(
                {option("split", parts.spec): parts}, dataset, workers=workers, reading=reading, progress=watcher,
                allow_leaks=allow_leaks, how_to_group=option("group_regex"),
                check_command=check_command(dataset, parts),
            )  # fmt: skip
        if candidates and not is_resumed:
            settings = _choose_features(candidates, fabric, parts, dataset, workers, reading, feature_cache, watcher)
            header = _header(Path(out), settings, dataset)
        task = TrainingTask(
            recipe=settings, header=header, parts=parts, group_regex=group_regex, folder=folder.path,
            is_resumed=is_resumed, init=init, inherited_clips=inherited_clips(settings, init),
            backbone=backbone, device_map=device_map, feature_cache=feature_cache,
            num_threads=max(1, workers // num_devices),
            reading=reading, precision=bits, checkpoint_seconds=checkpoint_seconds, max_unreadable=max_unreadable,
        )  # fmt: skip
        outcome = in_processes(partial(run_task, task), fabric, outer, check, children.append)
        trained_on = [clip for clip in parts.train if clip not in outcome.unreadable]
        for label in sorted(set(header.labels) - set(label_names(trained_on, settings.training.objective))):
            outer.notice(f"class {label!r}: none of its clips could be read for training; the model will not know it")
        return from_first(fabric, lambda: _evaluate(task, outcome, device, workers, watcher, source=str(data)))


def _candidates(
    recipe: str | Path | Recipe | None, init: str | Path | None, overrides: Sequence[str], backbone: Backbone | None,
    num_devices: int, notice: Callable[[str], object],
) -> list[Candidate]:  # fmt: skip
    """The recipes to choose from; none if one was named."""
    if recipe != AUTO:
        return []
    if backbone is not None or num_devices > 1:
        raise UsageInvalidError(
            "chooses in one process, among the default backbone's features",
            source=option("recipe", AUTO),
            hint=f"omit {option('devices')} and a custom backbone",
        )
    return auto_candidates(init, overrides, notice)


def _choose_features(
    candidates: Sequence[Candidate], fabric: Fabric, parts: Split, dataset: Dataset, workers: int, reading: ReadOptions,
    feature_cache: FeatureCache | str | Path | None, progress: Progress,
) -> Recipe:  # fmt: skip
    """The recipe whose features suit the training side best; see `FeatureSearch`."""
    labels = label_names(dataset.clips, candidates[0].recipe.training.objective)
    clips = [*parts.train, *parts.validation]
    with tempfile.TemporaryDirectory(prefix="videoclf-auto-") as folder:

        def make_probe(candidate: Candidate) -> LinearProbe:
            recipe = candidate.recipe
            factory = TrainerFactory(
                fabric, TrainingSetup(recipe, labels, workers, reading), Quarantine(SilentProgress()),
                choose_cache(feature_cache, recipe, progress.notice), Path(folder), progress=progress,
            )  # fmt: skip
            assert factory.probe is not None  # the candidates' backbones are frozen
            return factory.probe

        search = FeatureSearch(candidates, make_probe, progress)
        search.plan(clips)
        choice = search.choose(clips)
    progress.notice(choice.line)
    return choice.candidate.recipe


def _evaluate(
    task: TrainingTask, outcome: Outcome, device: str, num_threads: int, watcher: Progress, *, source: str
) -> Run:
    """Read the test part once (of a split without one, the validation part again, which a refit has learnt from), as a
    user of the finished model would see it, and write all that a run leaves."""
    folder, parts = task.folder, task.parts
    model_path = folder / "model.safetensors"
    classifier, header = open_model(model_path, backbone=copy.deepcopy(task.backbone))
    evaluated_on: EvaluatedOn = "test" if parts.test else "training" if task.recipe.training.refit else "validation"
    if evaluated_on == "training":
        watcher.notice(
            "without a test part, the figures are of clips that the network was trained on in the end, and say nothing "
            "of new videos; before it was trained again with the validation clips, "
            f"{outcome.kept.validation_top1:.3f} of them were correct"
        )
    evaluated = parts.test or parts.validation
    watcher.stage(evaluated_on, len(evaluated))
    model = Model(TorchEngine(classifier, header.recipe, device, device_map=task.device_map), header)
    outcomes = []
    for each in model.predict_many([clip.path for clip in evaluated], workers=num_threads, reading=task.reading):
        outcomes.append(each)
        if isinstance(each, Failure):
            watcher.notice(each.error.message)
        watcher.advance()
    metrics = metrics_of(outcomes, evaluated, header.labels, header.objective)
    figures = {f"{evaluated_on}_top1": metrics.top1, f"{evaluated_on}_num_clips": float(metrics.num_clips)}
    save_model(model_path, classifier, header.model_copy(update={"figures": figures}), _trained_clips(task, outcome))
    truths = truths_of(evaluated, header.objective)
    write_predictions(folder / "predictions.jsonl", outcomes, truths)
    beside = outcome.probed.beside_epoch(outcome.kept)
    if evaluated_on != "training":
        beside = outcome.probed.beside(_correct(outcomes, evaluated))
    summary = {"data": source} | _summary(metrics, evaluated_on, outcome, header.calibration, parts, beside)
    write_atomically(folder / "metrics.json", json.dumps(summary, indent=2).encode())
    write_report(
        folder / "report.html",
        title=f"Run {header.name}: {evaluated_on}",
        metrics=metrics,
        epochs=outcome.records,
        clips=clip_results(outcomes, truths),
        parts={"train": parts.train, "validation": parts.validation, "test": parts.test},
        notes=[
            f"Data: {source}, {parts.describe()}.",
            *([beside.describe()] if beside else []),
            *parts.warnings,
            *outcome.unreadable.values(),
        ],
        learning_curve=outcome.probed.learning_curve,
        bottleneck=describe_bottleneck(
            outcome.records, is_frozen=task.recipe.backbone.frozen, num_threads=task.num_threads
        ),
        environment=describe_environment(
            describe_device(choose_device_map(device, task.device_map).first),
            precision=task.precision,
            num_threads=num_threads,
        ),
        recipe_toml=recipe_to_toml(task.recipe),
        reading=task.reading,
    )
    remove_checkpoints(folder)
    return RunFolder(folder).read_run()


def _correct(outcomes: Sequence[Prediction | Failure], clips: Sequence[LabelledClip]) -> dict[LabelledClip, bool]:
    """Whether each clip that could be read is predicted correctly."""
    return {
        clip: outcome.labels[0].label in clip.names
        for clip, outcome in zip(clips, outcomes, strict=True)
        if isinstance(outcome, Prediction)
    }


def _trained_clips(task: TrainingTask, outcome: Outcome) -> set[str]:
    """Hashes of the clips that were trained or validated on, and of those that the first weights were trained on."""
    clips = [clip for clip in (*task.parts.train, *task.parts.validation) if clip not in outcome.unreadable]
    return {*hash_clips(clips), *task.inherited_clips}


def check_precision(device: torch.device, precision: FabricPrecision) -> None:
    """Check that a device supports a precision.

    Raises:
        DeviceUnavailableError: it does not.
    """
    if precision == "16-mixed" and device.type == "cpu":
        raise DeviceUnavailableError(
            "a CPU does not support it", source=option("precision", "16"), hint="use bf16 or 32, or a GPU"
        )


def _header(out: Path, recipe: Recipe, dataset: Dataset) -> ModelHeader:
    """What the model file will say of the model. Its recipe names no weights: the file brings its own, and paths of
    this machine stay here."""
    labels = label_names(dataset.clips, recipe.training.objective)
    if len(labels) < 2:
        raise DatasetInvalidError(
            f"contains clips of only one class, {labels[0]!r}", source=dataset.source, hint="add clips of another class"
        )
    backbone = recipe.backbone.model_copy(update={"weights": "none"})
    try:
        return ModelHeader(
            name=out.resolve().name, recipe=recipe.model_copy(update={"backbone": backbone}), labels=labels
        )
    except ValidationError as error:
        raise DatasetInvalidError(
            f"{out} or a class of {dataset.source} has a name that a model file cannot contain: "
            f"{describe_validation(error, ModelHeader)}",
            hint="rename it",
        ) from error


def _summary(
    metrics: Metrics,
    evaluated_on: str,
    outcome: Outcome,
    calibration: Calibration,
    parts: Split,
    beside: ProbeComparison | None,
) -> dict[str, Any]:
    return {
        "format_version": 1,
        "judged_on": evaluated_on,
        **metrics.model_dump(),
        "linear_probe": None if beside is None else beside.model_dump(),
        "best_epoch": outcome.kept.model_dump(),
        "num_epochs": len(outcome.records),
        "calibration": calibration.model_dump(),
        "split": {
            "spec": parts.spec,
            "num_train": len(parts.train),
            "num_validation": len(parts.validation),
            "num_test": len(parts.test),
            "num_missing": len(parts.missing),
        },
        "quarantined": {str(clip.path): reason for clip, reason in outcome.unreadable.items()},
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "environment": outcome.environment,
    }
