"""A whole training run: data in, a folder out that holds the model, its figures and a report."""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from pydantic import ValidationError

from videoclf.atomic import prepare_folder, remove_file, write_atomically
from videoclf.audit import leaks
from videoclf.audit.check import MAX_CLIPS_BEFORE_TRAINING, find_leaks
from videoclf.data.dataset import Dataset, LabelledClip, load_dataset
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.splits import Split, make_split
from videoclf.errors import DatasetInvalid, DeviceUnavailable, RunFolderUnusable
from videoclf.evaluation.environment import describe_environment
from videoclf.evaluation.evaluate import metrics_of, write_predictions
from videoclf.evaluation.judged import judged_clips, truths_of
from videoclf.evaluation.metrics import Metrics
from videoclf.evaluation.report import EpochRecord, write_report
from videoclf.inference.model import Model
from videoclf.inference.prediction import Failure, Prediction
from videoclf.inference.torch_engine import TorchEngine, find_device
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.modeling.checkpoint import save_model
from videoclf.modeling.classifier import Backbone, VideoClassifier
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe, describe_validation, recipe_to_toml
from videoclf.training.examples import Quarantine
from videoclf.training.learn import Learned, learn
from videoclf.training.observer import Observer, SilentObserver
from videoclf.training.start import choose_cache, choose_recipe, with_custom_backbone
from videoclf.training.trainers import TrainerFactory

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

FABRIC_PRECISION: dict[str, Precision] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
"""By the name that the command line knows."""


_RUN_FILES = (
    "model.safetensors", "metrics.json", "report.html", "predictions.jsonl", "log.csv", "split.json", "recipe.toml",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What a training run leaves."""

    folder: Path
    model_path: Path
    metrics: Metrics
    """Of the test part, or of the validation part where the split has no test part."""
    judged_on: Literal["test", "validation"]
    num_unreadable: int
    """Clips of any part that could not be read."""


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
    group_pattern: str | None = None,
    device: str = "auto",
    precision: Precision = "32-true",
    num_threads: int = DEFAULT_NUM_THREADS,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    feature_cache: FeatureCache | str | Path | None = "auto",
    overwrite: bool = False,
    allow_leaks: bool = False,
    observer: Observer | None = None,
) -> Run:
    """Train a classifier on labelled clips; the best epoch by validation is kept, calibrated and tested once.

    Args:
        data: a folder ``CLASS/clip.avi`` or a list of ``path,label``; see `videoclf.data.dataset.load_dataset`.
        out: the run's folder: ``model.safetensors``, ``metrics.json``, ``report.html``, ``recipe.toml``, ``log.csv``,
            ``split.json``, ``predictions.jsonl``.
        recipe: a zoo name, a TOML file or a `Recipe`; by default the one of ``init``, or ``mobilenet_v2-gru``.
        overrides: ``section.key=value`` changes to it.
        init: a model file or name whose backbone and temporal weights are the start; the head is new.
        backbone: a network of your own in place of the one that the recipe names, with the weights it has: a
            `FrameBackbone` around any 2D network, or a `ClipBackbone` around a 3D one. The model file then names it
            ``custom``, and `videoclf.load` wants one of the same make.
        split: see `videoclf.data.splits.make_split`.
        split_files: folder of the official lists, where they do not lie beside the clips.
        group_pattern: regular expression for groups in file names.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        precision: of the computation, as Lightning Fabric names it.
        num_threads: videos decoded at once.
        reading: who decodes, and how.
        feature_cache: where a frozen backbone's features are kept from run to run: a cache, a folder, ``auto`` for
            `videoclf.data.feature_cache.default_cache_folder`; None keeps them for this run alone.
        overwrite: whether a run that is already in ``out`` may be replaced.
        allow_leaks: whether to go on, with a notice, where a group, or a clip and its copy, stands on two sides of the
            split. Copies that were encoded anew, cut or mirrored are looked for among up to 1,000 clips.
        observer: is told of the progress.

    Raises:
        SplitLeaks: the split leaks, and ``allow_leaks`` was not said.
        VideoclfError: a recipe, dataset, model file, weights, device or folder that cannot be used. The best model
            so far stays in ``out``.
    """
    watcher = observer or SilentObserver()
    settings = choose_recipe(recipe, init, overrides)
    if backbone is not None:
        settings = with_custom_backbone(settings, backbone)
    dataset = load_dataset(data, group_pattern=group_pattern)
    parts = make_split(dataset, split, split_files=split_files)
    for warning in parts.warnings:
        watcher.notice(warning)
    torch_device = find_training_device(device, precision)
    header = _header(Path(out), settings, dataset)
    labels = header.labels
    _look_for_leaks(parts, dataset, num_threads, reading, watcher, allow=allow_leaks)
    quarantine = Quarantine(watcher)
    cache = choose_cache(feature_cache, settings, watcher.notice)
    factory = TrainerFactory(
        make_fabric(torch_device, precision), settings, labels, quarantine, cache, Path(out),
        num_threads=num_threads, reading=reading, observer=watcher, init=init, backbone=backbone,
    )  # fmt: skip
    folder = _open_run_folder(Path(out), overwrite=overwrite)
    model_path = folder / "model.safetensors"
    write_atomically(folder / "recipe.toml", recipe_to_toml(settings).encode())
    write_atomically(folder / "split.json", _split_json(parts).encode())

    num_clips, num_epochs = len(parts.train) + len(parts.validation), settings.training.epochs
    records: list[EpochRecord] = []

    def on_epoch(record: EpochRecord, is_kept: bool, network: VideoClassifier) -> None:
        records.append(record)
        write_atomically(folder / "log.csv", _log_csv(records).encode())
        if is_kept:  # at once: a run that is interrupted leaves the best so far
            save_model(model_path, network, header)
        watcher.epoch(record, is_best=is_kept and settings.training.keep == "best")
        if record.epoch < num_epochs:
            watcher.stage(f"epoch {record.epoch + 1} of {num_epochs}", num_clips)

    watcher.stage(f"epoch 1 of {num_epochs}", num_clips)
    learned = learn(
        factory.make, parts, settings.training, on_epoch,
        on_refit=lambda: watcher.stage("training again with the validation clips", 0),
    )  # fmt: skip
    for label in sorted(set(labels) - set(_labels_of(quarantine.without(parts.train), settings))):
        watcher.notice(f"class {label!r}: none of its clips could be read for training; the model will not know it")
    classifier = learned.classifier
    header = header.model_copy(update={"calibration": learned.calibration})
    save_model(model_path, classifier, header)
    judged_on: Literal["test", "validation"] = "test" if parts.test else "validation"
    judging = parts.test or parts.validation
    outcomes = _predict(classifier.eval(), header, judging, torch_device, num_threads, reading, watcher, judged_on)
    metrics = metrics_of(outcomes, judging, header.labels, header.objective)
    figures = {f"{judged_on}_top1": metrics.top1, f"{judged_on}_num_clips": float(metrics.num_clips)}
    save_model(model_path, classifier, header.model_copy(update={"figures": figures}))
    truths = truths_of(judging, header.objective)
    write_predictions(folder / "predictions.jsonl", outcomes, truths)
    unreadable = {*map(str, (clip.path for clip in quarantine.reasons)), *(clip.source for clip in metrics.failed)}
    summary = {"data": str(data)} | _summary(metrics, judged_on, learned, parts, quarantine, precision)
    write_atomically(folder / "metrics.json", json.dumps(summary, indent=2).encode())
    write_report(
        folder / "report.html",
        title=f"Run {header.name}: {judged_on}",
        metrics=metrics,
        epochs=records,
        clips=judged_clips(outcomes, truths),
        parts={"train": parts.train, "validation": parts.validation, "test": parts.test},
        notes=[f"Data: {data}. {parts!r}.", *parts.warnings, *quarantine.reasons.values()],
        environment=describe_environment(torch_device, precision=precision, num_threads=num_threads),
        recipe_toml=recipe_to_toml(settings),
        reading=reading,
    )
    return Run(folder, model_path, metrics, judged_on, num_unreadable=len(unreadable))


def find_training_device(device: str, precision: Precision) -> torch.device:
    """The device of that name, if it computes in that precision.

    Raises:
        DeviceUnavailable: it is not on this machine, or does not.
    """
    found = find_device(device)
    if precision == "16-mixed" and found.type == "cpu":
        raise DeviceUnavailable("--precision 16: a CPU does not compute in it; use bf16 or 32, or a GPU")
    return found


def _look_for_leaks(
    parts: Split, dataset: Dataset, num_threads: int, reading: ReadOptions, watcher: Observer, *, allow: bool
) -> None:
    found, has_near_duplicates_checked = find_leaks(parts, num_threads=num_threads, reading=reading, progress=watcher)
    if not allow:
        leaks.refuse(found, parts, dataset.source)
    elif found:
        watcher.notice(leaks.describe(found, parts, dataset.source))
    if not has_near_duplicates_checked:
        watcher.notice(
            f"of more than {MAX_CLIPS_BEFORE_TRAINING:,} clips, near-duplicates are not looked for before training; "
            f"do it once: videoclf check {dataset.source} --split {parts.spec}"
        )


def _labels_of(clips: Sequence[LabelledClip], recipe: Recipe) -> tuple[str, ...]:
    """What the model is to know, sorted: the clips' classes or, where a clip may have several labels, each of these."""
    if recipe.training.objective == "softmax":
        return tuple(sorted({clip.label for clip in clips}))
    return tuple(sorted({name for clip in clips for name in clip.names}))


def _header(out: Path, recipe: Recipe, dataset: Dataset) -> ModelHeader:
    """What the model file will say of the model. Its recipe names no weights: the file brings its own, and paths of
    this machine stay here."""
    labels = _labels_of(dataset.clips, recipe)
    if len(labels) < 2:
        raise DatasetInvalid(f"{dataset.source}: holds clips of one class only, {labels[0]!r}; add another")
    backbone = recipe.backbone.model_copy(update={"weights": "none"})
    try:
        return ModelHeader(
            name=out.resolve().name, recipe=recipe.model_copy(update={"backbone": backbone}), labels=labels
        )
    except ValidationError as error:
        raise DatasetInvalid(
            f"{out} or a class of {dataset.source} cannot be named in a model file: "
            f"{describe_validation(error, ModelHeader)}; rename it"
        ) from error


def _open_run_folder(folder: Path, *, overwrite: bool) -> Path:
    prepare_folder(folder)
    if (folder / "crossval.json").exists():
        raise RunFolderUnusable(f"{folder}: holds a cross-validation; choose another --out")
    if (folder / "model.safetensors").exists() and not overwrite:
        raise RunFolderUnusable(f"{folder}: holds a run already; choose another --out, or add --overwrite")
    for name in _RUN_FILES:  # all of the old run before anything of the new one: never a mixture
        remove_file(folder / name)
    return folder


def make_fabric(device: torch.device, precision: Precision) -> Fabric:
    """One device, computing so."""
    return Fabric(
        accelerator=device.type,
        devices=1 if device.type == "cpu" else [device.index or 0],
        precision=precision,
    )


def _predict(
    classifier: VideoClassifier,
    header: ModelHeader,
    clips: Sequence[LabelledClip],
    device: torch.device,
    num_threads: int,
    reading: ReadOptions,
    watcher: Observer,
    judged_on: str,
) -> list[Prediction | Failure]:
    """The clips as a user of the finished model would see them."""
    watcher.stage(judged_on, len(clips))
    model = Model(TorchEngine(classifier, header.recipe, str(device)), header)
    outcomes = []
    for outcome in model.predict_many([clip.path for clip in clips], num_threads=num_threads, reading=reading):
        outcomes.append(outcome)
        if isinstance(outcome, Failure):
            watcher.notice(outcome.error.message)
        watcher.advance()
    return outcomes


def _split_json(parts: Split) -> str:
    named = {part: [str(clip.path) for clip in getattr(parts, part)] for part in ("train", "validation", "test")}
    return json.dumps({"spec": parts.spec, **named, "missing": list(parts.missing)}, indent=1)


def _log_csv(records: Sequence[EpochRecord]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(EpochRecord.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.model_dump() for record in records)
    return buffer.getvalue()


def _summary(
    metrics: Metrics,
    judged_on: str,
    learned: Learned,
    parts: Split,
    quarantine: Quarantine,
    precision: str,
) -> dict[str, Any]:
    return {
        "format_version": 1,
        "judged_on": judged_on,
        **metrics.model_dump(),
        "best_epoch": learned.kept.model_dump(),
        "num_epochs": len(learned.records),
        "calibration": learned.calibration.model_dump(),
        "split": {
            "spec": parts.spec,
            "num_train": len(parts.train),
            "num_validation": len(parts.validation),
            "num_test": len(parts.test),
            "num_missing": len(parts.missing),
        },
        "quarantined": {str(clip.path): reason for clip, reason in quarantine.reasons.items()},
        "environment": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("videoclf", "torch", "torchvision", "av")},
            "num_torch_threads": torch.get_num_threads(),
            "precision": precision,
        },
    }
