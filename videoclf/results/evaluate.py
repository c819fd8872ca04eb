"""Evaluates a model on labelled clips."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from videoclf.data.dataset import LabelledClip, check_labels, load_dataset
from videoclf.data.splits import make_split
from videoclf.errors import DatasetInvalidError, RunFolderUnusableError, UsageInvalidError
from videoclf.evaluation.clip_results import clip_results, truths_of
from videoclf.evaluation.metrics import FailedClip, Metrics, compute_metrics
from videoclf.evaluation.multilabel import compute_multilabel_metrics
from videoclf.evaluation.trained_on import RunSplit, find_trained_on, read_run_split, short_name
from videoclf.files import prepare_folder, refuse_to_replace, refuse_unwritable, write_atomically
from videoclf.first_keywords import accepts_first_keywords
from videoclf.inference.model import Model, load
from videoclf.inference.options import EXPORT_SUFFIXES
from videoclf.inference.prediction import Failure, Prediction
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.option_names import option
from videoclf.progress import ProgressLike, as_progress
from videoclf.recipe.toml_io import recipe_to_toml
from videoclf.recipe.training import Objective
from videoclf.results.environment import describe_environment
from videoclf.results.reader import holds_run
from videoclf.results.report import write_report

_FILES = ("metrics.json", "recipe.toml", "predictions.jsonl", "report.html")


@accepts_first_keywords(group_pattern="group_regex", num_threads="workers", place="device_map", on_notice="progress")
def evaluate(
    model: str | Path | Model,
    data: str | Path,
    *,
    split: str | None = None,
    split_files: str | Path | None = None,
    group_regex: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    device: str = "auto",
    device_map: str | None = None,
    workers: int = DEFAULT_NUM_THREADS,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    progress: ProgressLike = None,
    on_clip: Callable[[int, Prediction | Failure], object] = lambda _total, _outcome: None,
) -> Metrics:
    """Evaluate a model on labelled clips.

    Args:
        model: a loaded model, or a name, file or folder as for `videoclf.load`.
        data: a folder or list, as for `videoclf.data.dataset.load_dataset`.
        split: evaluates on the test part of this split; without it, on all clips. ``run``: the split of the model's own
            run (``model`` is then a run's folder).
        split_files: folder of the official lists, if they are not beside the clips.
        group_regex: regular expression that finds groups in names; with a split, by default that of the model's run.
        out: a folder for ``metrics.json``, ``predictions.jsonl``, ``report.html`` and ``recipe.toml`` (the model's).
            Without it, nothing is written.
        overwrite: whether an evaluation in ``out`` may be replaced.
        device, device_map: as for `videoclf.load`; a loaded model stays where it is.
        workers: number of videos decoded at the same time.
        reading: the decoder and its options.
        progress: receives a notice for each warning.
        on_clip: called after each clip, with the total number of clips and the outcome.

    Raises:
        DatasetInvalidError: no clips, a class that the model does not know, or no clip that can be read.
        ModelFileInvalidError: the model cannot be loaded.
        RunFolderUnusableError: ``out`` cannot be written, or already contains a run or results.
        group_regex: regular expression that finds groups in names; with a split, by default that of the run.
            not suit this model.
    """
    if device_map is not None and not isinstance(model, Model):
        _check_place(model, device, device_map)  # before a folder of any size is gone through
    if out is not None:
        refuse_unwritable(Path(out))
    chosen = _choose_clips(model, data, split, split_files, group_regex)
    clips = chosen.clips
    watcher = as_progress(progress)
    for notice in chosen.notices:
        watcher.notice(notice)
    if out is not None:
        _refuse_to_replace(Path(out), overwrite=overwrite)
    loaded = model if isinstance(model, Model) else load(model, device=device, device_map=device_map)
    objective = loaded.header.objective
    check_labels(clips, loaded.labels, model=loaded.header.name, has_several=objective == "sigmoid")
    folder = prepare_folder(Path(out)) if out is not None else None
    outcomes: list[Prediction | Failure] = []
    for outcome in loaded.predict_many([clip.path for clip in clips], workers=workers, reading=reading):
        outcomes.append(outcome)
        on_clip(len(clips), outcome)
    metrics = metrics_of(outcomes, clips, loaded.labels, objective)
    is_known = find_trained_on(loaded, clips)
    notes = []
    if any(is_known):
        metrics = _with_new_clips_separately(metrics, outcomes, clips, is_known, loaded)
        notes.append(describe_trained_on(metrics))
        hint = (
            f"; to evaluate on the run's own test part only: {option('split', 'run')}"
            if chosen.has_run and not chosen.split
            else ""
        )
        watcher.notice(notes[0] + hint)
    if folder is not None:
        truths = truths_of(clips, objective)
        recipe_toml = recipe_to_toml(loaded.recipe)
        about = {
            "format_version": 1,
            "model": loaded.header.name,
            "data": str(data),
            "judged_on": "test" if chosen.split else "all",
            "split": {"spec": chosen.split},
        }
        title = f"{loaded.header.name} on {data}" + (f", test part of {chosen.split}" if chosen.split else "")
        write_atomically(folder / "metrics.json", json.dumps(about | metrics.model_dump(), indent=2).encode())
        write_atomically(folder / "recipe.toml", recipe_toml.encode())
        write_predictions(folder / "predictions.jsonl", outcomes, truths)
        write_report(
            folder / "report.html",
            title=title,
            metrics=metrics,
            clips=clip_results(outcomes, truths),
            parts={"evaluated": clips},
            notes=notes,
            environment=describe_environment(loaded.computes_on, num_threads=workers),
            recipe_toml=recipe_toml,
            reading=reading,
        )
    return metrics


@dataclass(frozen=True)
class _Chosen:
    """The clips to evaluate on."""

    clips: Sequence[LabelledClip]
    split: str | None
    """The split whose test part they are; None: all clips."""
    notices: Sequence[str]
    has_run: bool
    """Whether the model belongs to a run."""


def _choose_clips(
    model: str | Path | Model,
    data: str | Path,
    split: str | None,
    split_files: str | Path | None,
    group_regex: str | None,
) -> _Chosen:
    """All clips, or the test part of a split. What is not given about the split is taken from the model's run."""
    notices: list[str] = []
    run = _run_of(model, split)
    if run is not None and not run.is_finished:
        notices.append(
            f"{model}: its run is not finished; the model is the best one so far, and its scores are not calibrated"
        )
    asks_for_run = split == "run"
    if run is not None and split is not None:
        split = run.spec if asks_for_run else split
        if group_regex is None and run.group_regex is not None:
            group_regex = run.group_regex
            notices.append(f"groups are found as in the run: {option('group_regex', group_regex)}")
    dataset = load_dataset(data, group_regex=group_regex)
    clips = dataset.clips
    notices += dataset.warnings
    if split == "given" and dataset.has_parts:  # a test part alone will do
        clips = tuple(clip for clip in clips if clip.part == "test")
    elif split:
        parts = make_split(dataset, split, split_files=split_files)
        clips = parts.test
        notices += parts.warnings
    elif dataset.has_parts:
        notices.append(
            f"{data} is divided into parts, and all of them are evaluated; to evaluate on its test part only: "
            f"{option('split', 'given')}"
        )
    if asks_for_run and run is not None and {short_name(clip.path) for clip in clips} != run.test_names:
        notices.append(
            f"{option('split', 'run')}: {data} is not the dataset of the run; its split, {split}, is made again from it"
        )
    if not clips:
        raise DatasetInvalidError(
            f"has no test part in {data}",
            source=option("split", split),
            hint=f"omit {option('split')} to evaluate on all clips",
        )
    return _Chosen(clips, split, notices, run is not None)


def _refuse_to_replace(out: Path, *, overwrite: bool) -> None:
    for holds_it, what in ((holds_run(out), "run"), ((out / "crossval.json").exists(), "cross-validation")):
        if holds_it:
            raise RunFolderUnusableError(
                f"already contains a {what}, whose results would be replaced",
                source=out,
                hint=f"choose another {option('out')}",
            )
    refuse_to_replace(*(out / name for name in _FILES), overwrite=overwrite)


def describe_trained_on(metrics: Metrics) -> str:
    """One line about the clips that the model was trained on."""
    num_clips, new = metrics.num_clips + metrics.num_failed, metrics.without_trained_on
    text = f"{metrics.num_trained_on} of {num_clips} clips were in training (or validation) of this model"
    if new is None:
        return f"{text}: the figures say nothing about new videos; evaluate on other clips"
    return f"{text}; without them: top-1 {new.top1:.3f} ({new.num_correct} of {new.num_clips})"


def _with_new_clips_separately(
    metrics: Metrics,
    outcomes: Sequence[Prediction | Failure],
    clips: Sequence[LabelledClip],
    is_known: Sequence[bool],
    model: Model,
) -> Metrics:
    """The metrics, with those of the clips that the model was not trained on added."""
    new = [(outcome, clip) for outcome, clip, known in zip(outcomes, clips, is_known, strict=True) if not known]
    without = None
    if any(isinstance(outcome, Prediction) for outcome, _ in new):
        new_outcomes, new_clips = zip(*new, strict=True)
        without = metrics_of(new_outcomes, new_clips, model.labels, model.header.objective)
    return metrics.model_copy(update={"num_trained_on": sum(is_known), "without_trained_on": without})


def _run_of(model: str | Path | Model, split: str | None) -> RunSplit | None:
    """The run that the model belongs to. Its split and expression for groups are the defaults."""
    path = model.source if isinstance(model, Model) else Path(model)
    run = None if path is None else read_run_split(path)
    if split == "run" and run is None:
        raise UsageInvalidError(
            f"{model} is not a run's folder", source=option("split", "run"), hint="name the split, such as group:0"
        )
    return run


def _check_place(model: str | Path, device: str, device_map: str) -> None:
    from videoclf.modeling.device_map import check_device_map, choose_device_map  # torchvision: for whoever asks
    from videoclf.modeling.open_model import recipe_of_model

    placement = choose_device_map(device, device_map)
    if Path(model).suffix.lower() not in EXPORT_SUFFIXES:  # those have a refusal of their own, in `load`
        check_device_map(placement, recipe_of_model(model))


def metrics_of(
    outcomes: Sequence[Prediction | Failure],
    clips: Sequence[LabelledClip],
    labels: Sequence[str],
    objective: Objective = "softmax",
) -> Metrics:
    """Compute the metrics of predictions (with all labels) for labelled clips; with ``sigmoid``, several labels each.

    Raises:
        DatasetInvalidError: no clip could be read.
    """
    position = {label: i for i, label in enumerate(labels)}
    rows, evaluated, failed = [], [], []
    for outcome, clip in zip(outcomes, clips, strict=True):
        if isinstance(outcome, Failure):
            failed.append(FailedClip(source=outcome.source, message=outcome.error.message))
            continue
        score_of = {entry.label: entry.score for entry in outcome.labels}
        rows.append([score_of[label] for label in labels])
        evaluated.append(clip)
    if not rows:
        raise DatasetInvalidError(f"none of {len(clips)} clips could be read", hint=f"the first: {failed[0].message}")
    if objective == "sigmoid":
        several = [tuple(position[name] for name in clip.names) for clip in evaluated]
        return compute_multilabel_metrics(np.array(rows), several, labels, failed)
    return compute_metrics(np.array(rows), [position[clip.label] for clip in evaluated], labels, failed)


def write_predictions(path: Path, outcomes: Sequence[Prediction | Failure], truths: Sequence[tuple[str, ...]]) -> None:
    """Write one JSON line for each clip, like ``videoclf predict --json``, with its true labels in ``truth``."""
    lines = [
        json.dumps({**outcome.model_dump(mode="json"), "truth": truth})
        for outcome, truth in zip(outcomes, truths, strict=True)
    ]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
