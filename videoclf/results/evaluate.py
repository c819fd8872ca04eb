"""A model against labelled clips it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from videoclf.data.dataset import LabelledClip, check_labels, load_dataset
from videoclf.data.splits import make_split
from videoclf.errors import DatasetInvalidError, RunFolderUnusableError, UsageInvalidError
from videoclf.evaluation.clip_results import judged_clips, truths_of
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
    """Classify labelled clips and compare.

    Args:
        model: a loaded model, or what `videoclf.load` takes.
        data: a folder or list, as `videoclf.data.dataset.load_dataset` takes it.
        split: which clips: the test part of this split, or without one all of them. ``run``: of the split that the
            model's run was made with (``model`` is then a run's folder).
        split_files: folder of the official lists, where they do not lie beside the clips.
        group_regex: regular expression for groups in names; by default, with a split, the one of the model's run.
        out: a folder for ``metrics.json``, ``predictions.jsonl``, ``report.html`` and ``recipe.toml`` (the model's);
            nothing is written without.
        overwrite: whether another evaluation that ``out`` holds may be replaced.
        device, device_map: as for `videoclf.load`; a loaded model stays where it is.
        workers: videos decoded at once.
        reading: who decodes, and how.
        progress: receives the notices: what was assumed of the split, and clips that the model was trained on.
        on_clip: called after each clip with the number of all clips and the outcome.

    Raises:
        DatasetInvalidError: no clips, a class that the model does not know, or not one clip that can be read.
        ModelFileInvalidError: the model cannot be loaded.
        RunFolderUnusableError: ``out`` cannot be written, or holds a run, or figures.
        DeviceUnavailableError, UsageInvalidError: ``device`` or ``device_map`` is not of this machine, or not for this
            model.
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
        metrics = _with_new_clips_apart(metrics, outcomes, clips, is_known, loaded)
        notes.append(describe_trained_on(metrics))
        hint = (
            f"; the run's own test part alone: {option('split', 'run')}" if chosen.has_run and not chosen.split else ""
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
            clips=judged_clips(outcomes, truths),
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
    """Whose test part they are; None: all there are."""
    notices: Sequence[str]
    has_run: bool
    """The model is a run's."""


def _choose_clips(
    model: str | Path | Model,
    data: str | Path,
    split: str | None,
    split_files: str | Path | None,
    group_regex: str | None,
) -> _Chosen:
    """All clips of the data, or a split's test part; what is not said of the split is as in the model's run."""
    notices: list[str] = []
    run = _run_of(model, split)
    if run is not None and not run.is_finished:
        notices.append(f"{model}: its run is not finished: the model is the best so far, its scores are not calibrated")
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
            f"{data} gives its clips to parts: all of them are evaluated; its test part alone: "
            f"{option('split', 'given')}"
        )
    if asks_for_run and run is not None and {short_name(clip.path) for clip in clips} != run.test_names:
        notices.append(
            f"{option('split', 'run')}: {data} is not what the run was made of: its split, {split}, is made anew of it"
        )
    if not clips:
        raise DatasetInvalidError(
            f"has no test part in {data}",
            source=option("split", split),
            hint=f"leave {option('split')} out to evaluate on all clips",
        )
    return _Chosen(clips, split, notices, run is not None)


def _refuse_to_replace(out: Path, *, overwrite: bool) -> None:
    for holds_it, what in ((holds_run(out), "run"), ((out / "crossval.json").exists(), "cross-validation")):
        if holds_it:
            raise RunFolderUnusableError(
                f"holds a {what}, whose figures would be replaced", source=out, hint=f"choose another {option('out')}"
            )
    refuse_to_replace(*(out / name for name in _FILES), overwrite=overwrite)


def describe_trained_on(metrics: Metrics) -> str:
    """One line, where the model was trained on some of the clips."""
    num_clips, new = metrics.num_clips + metrics.num_failed, metrics.without_trained_on
    said = f"{metrics.num_trained_on} of {num_clips} clips were in training (or validation) of this model"
    if new is None:
        return f"{said}: the figures say nothing of new videos; evaluate on other clips"
    return f"{said}; without them: top-1 {new.top1:.3f} ({new.num_right} of {new.num_clips})"


def _with_new_clips_apart(
    metrics: Metrics,
    outcomes: Sequence[Prediction | Failure],
    clips: Sequence[LabelledClip],
    is_known: Sequence[bool],
    model: Model,
) -> Metrics:
    """The figures, and in them those of the clips that the model was not trained on."""
    new = [(outcome, clip) for outcome, clip, known in zip(outcomes, clips, is_known, strict=True) if not known]
    without = None
    if any(isinstance(outcome, Prediction) for outcome, _ in new):
        said, labelled = zip(*new, strict=True)
        without = metrics_of(said, labelled, model.labels, model.header.objective)
    return metrics.model_copy(update={"num_trained_on": sum(is_known), "without_trained_on": without})


def _run_of(model: str | Path | Model, split: str | None) -> RunSplit | None:
    """The run that the model comes from; its split and pattern stand in for what is not given."""
    path = model.source if isinstance(model, Model) else Path(model)
    run = None if path is None else read_run_split(path)
    if split == "run" and run is None:
        raise UsageInvalidError(
            f"{model} is no run's folder", source=option("split", "run"), hint="name the split, such as group:0"
        )
    return run


def _check_place(model: str | Path, device: str, device_map: str) -> None:
    from videoclf.modeling.device_map import check_placement, choose_placement  # torchvision: for whoever asks
    from videoclf.modeling.open_model import recipe_of_model

    placement = choose_placement(device, device_map)
    if Path(model).suffix.lower() not in EXPORT_SUFFIXES:  # those have a refusal of their own, in `load`
        check_placement(placement, recipe_of_model(model))


def metrics_of(
    outcomes: Sequence[Prediction | Failure],
    clips: Sequence[LabelledClip],
    labels: Sequence[str],
    objective: Objective = "softmax",
) -> Metrics:
    """Figures of predictions (with all labels) of labelled clips; with ``sigmoid``, of clips with several labels.

    Raises:
        DatasetInvalidError: not one clip could be read.
    """
    position = {label: i for i, label in enumerate(labels)}
    rows, judged, failed = [], [], []
    for outcome, clip in zip(outcomes, clips, strict=True):
        if isinstance(outcome, Failure):
            failed.append(FailedClip(source=outcome.source, message=outcome.error.message))
            continue
        score_of = {entry.label: entry.score for entry in outcome.labels}
        rows.append([score_of[label] for label in labels])
        judged.append(clip)
    if not rows:
        raise DatasetInvalidError(
            f"not one of {len(clips)} clips could be read", hint=f"the first: {failed[0].message}"
        )
    if objective == "sigmoid":
        several = [tuple(position[name] for name in clip.names) for clip in judged]
        return compute_multilabel_metrics(np.array(rows), several, labels, failed)
    return compute_metrics(np.array(rows), [position[clip.label] for clip in judged], labels, failed)


def write_predictions(path: Path, outcomes: Sequence[Prediction | Failure], truths: Sequence[tuple[str, ...]]) -> None:
    """One line of JSON a clip, as ``videoclf predict --json`` prints it, and the labels that are right in ``truth``."""
    lines = [
        json.dumps({**outcome.model_dump(mode="json"), "truth": truth})
        for outcome, truth in zip(outcomes, truths, strict=True)
    ]
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
