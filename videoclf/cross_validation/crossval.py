"""Cross-validation: trains and tests on every fold with each seed. Finished folds are kept, and a second call
continues."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from lightning_fabric import Fabric

from videoclf.cross_validation.fold_evaluator import FoldEvaluator, FoldResult
from videoclf.cross_validation.folder import CrossvalFolder, to_json
from videoclf.data.dataset import Dataset, LabelledClip, load_dataset
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.folds import Fold, describe_folds, make_folds
from videoclf.data_check.leak_search import check_before_training, check_command
from videoclf.errors import DatasetInvalidError, UsageInvalidError, counted
from videoclf.evaluation.clip_results import label_names, truths_of, warn_of_joined_labels
from videoclf.evaluation.cross_validated import ClipScores, CrossvalMetrics, FoldRecord, clip_results, pool
from videoclf.evaluation.metrics import FailedClip
from videoclf.files import prepare_folder, refuse_unwritable, write_atomically
from videoclf.first_keywords import accepts_first_keywords
from videoclf.inference.engines.torch_engine import describe_device
from videoclf.inference.pipeline import average_windows
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.modeling.device_map import find_device
from videoclf.option_names import option
from videoclf.progress import Progress, ProgressLike, as_progress
from videoclf.recipe.augment import Augment
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.testing import Testing
from videoclf.recipe.toml_io import recipe_to_toml
from videoclf.recipe.training import Objective
from videoclf.results.environment import describe_environment
from videoclf.results.report import write_report
from videoclf.training.examples.decoded import Quarantine
from videoclf.training.loop.linear_probe import LinearProbe
from videoclf.training.run.auto_recipe import AUTO, Candidate, auto_candidates
from videoclf.training.run.folder_lock import alone_in_out
from videoclf.training.run.initialization import choose_cache, choose_recipe, identify_first_weights
from videoclf.training.run.processes import FabricPrecision, Precision, fabric_precision, make_fabric
from videoclf.training.run.train import check_precision
from videoclf.training.run.trainer_factory import TrainerFactory, TrainingSetup

Baseline = Literal["ridge"]


@accepts_first_keywords(group_pattern="group_regex", num_threads="workers", observer="progress")
@alone_in_out
def crossval(
    data: str | Path,
    *,
    out: str | Path,
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    init: str | Path | None = None,
    by: str = "group",
    num_folds: int | None = None,
    num_seeds: int = 1,
    baseline: Baseline | None = None,
    unknown: Sequence[str] = (),
    split_files: str | Path | None = None,
    group_regex: str | None = None,
    device: str = "auto",
    precision: Precision | FabricPrecision = "32",
    workers: int = DEFAULT_NUM_THREADS,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    feature_cache: FeatureCache | str | Path | None = "auto",
    overwrite: bool = False,
    allow_leaks: bool = False,
    progress: ProgressLike = None,
    on_fold: Callable[[FoldRecord, int, int], object] = lambda _record, _num_done, _num_folds: None,
) -> CrossvalMetrics:
    """Train and test on every fold in turn.

    In each fold, validation clips are taken from the training side by whole groups. They choose epoch, temperature and
    threshold; the test part is read once. Every fold's predictions are kept in ``out/folds``: an interrupted call
    continues where it stopped, and more seeds can be added later.

    Args:
        data: as for `videoclf.train`.
        out: gets ``metrics.json``, ``predictions.jsonl`` (out of fold, pooled), ``report.html``, ``recipe.toml``.
        recipe: as for `videoclf.train`; its ``training.seed`` is the first seed.
        overrides: as for `videoclf.train`.
        init: as for `videoclf.train`.
        by: see `make_folds`.
        num_folds: see `make_folds`.
        num_seeds: number of repeats, each with the next seed.
        baseline: ``ridge``: a linear classifier on mean, deviation and mean absolute change of the recipe's frozen
            features, instead of the network; its penalty is chosen on the validation clips.
        unknown: classes that are excluded from training and validation. Their clips in the test parts show how well
            unknown classes are distinguished from known ones.
        split_files: folder of the official lists, if they are not beside the clips.
        group_regex: regular expression for groups in file names.
        device: as for `videoclf.train`.
        precision: as for `videoclf.train`.
        workers: number of videos decoded at the same time.
        reading: decoder, frame selection, isolation and limits.
        feature_cache: as for `videoclf.train`.
        overwrite: whether another cross-validation in ``out`` may be replaced.
        allow_leaks: whether to continue, with a notice, if two folds share a clip or copies of one.
        progress: receives the progress.
        on_fold: called after each fold with its record, the number of finished folds, and the number of all folds.

    Raises:
        VideoclfError: data, recipe, weights, device or folder cannot be used, or folds leak. Finished folds stay in
            ``out``.
    """
    watcher = as_progress(progress)
    candidates = _candidates(recipe, init, overrides, baseline, watcher.notice)
    settings = candidates[0].recipe
    objective = settings.training.objective
    if objective == "sigmoid" and (baseline or unknown):
        raise UsageInvalidError(
            f"{option('baseline' if baseline else 'unknown')} requires that each clip has one class",
            hint="omit it, or set training.objective to softmax (it is sigmoid)",
        )
    dataset = load_dataset(data, group_regex=group_regex)
    labels = _known_labels(dataset, unknown, objective)
    folds = make_folds(
        dataset, by, num_folds=num_folds, split_files=split_files, has_several=objective == "sigmoid", unknown=unknown
    )
    for warning in _warnings(dataset, folds, by, objective):
        watcher.notice(warning)
    bits = fabric_precision(precision)
    fingerprint = _fingerprint(candidates, identify_first_weights(settings, init), baseline, folds, bits, reading)
    torch_device = find_device(device)
    check_precision(torch_device, bits)
    folder = CrossvalFolder(Path(out), fingerprint, describe_device(torch_device), overwrite=overwrite)
    refuse_unwritable(folder.path)
    seeds = [settings.training.seed + i for i in range(1 if baseline else num_seeds)]
    records = folder.records()
    _tell_of_what_is_kept(folder, records, dataset, seeds, watcher.notice, computes_on=describe_device(torch_device))
    missing = [
        (number, fold, seed)
        for seed in seeds
        for number, fold in enumerate(folds)
        if _record_name(number, seed) not in records
    ]
    if missing:
        check_before_training(
            {f"fold {fold.name}": fold.split for fold in folds}, dataset, workers=workers, reading=reading,
            progress=watcher, allow_leaks=allow_leaks,
            how_to_group=f"{option('by', 'group')}, {option('group_regex')}", check_command=check_command(dataset),
        )  # fmt: skip
        prepare_folder(folder.path)
        quarantine = Quarantine(watcher)
        make_factory = partial(
            _make_factory, make_fabric(torch_device, bits), labels=labels, workers=workers, reading=reading, init=init,
            quarantine=quarantine, feature_cache=feature_cache, folder=folder.path, progress=watcher,
        )  # fmt: skip
        evaluator = FoldEvaluator(candidates, make_factory, labels, watcher, is_baseline=baseline is not None)
        evaluator.plan([clip for clip in dataset.clips if clip.label in labels])
    num_done = len(folds) * len(seeds) - len(missing)
    if num_done:
        watcher.notice(
            f"{num_done} of {counted(len(folds) * len(seeds), 'fold')} are finished and are kept: {folder.path}"
        )
    if baseline and num_seeds > 1:
        watcher.notice(f"{option('seeds', num_seeds)}: a {baseline} has no random numbers; it is evaluated once")
    for number, fold, seed in missing:
        watcher.stage(f"fold {fold.name[:40]}, seed {seed}", 0)
        started = time.perf_counter()
        result = evaluator(fold, seed)
        record = _record(fold, seed, result, labels, quarantine, objective, seconds=time.perf_counter() - started)
        name = _record_name(number, seed)
        folder.keep(name, record, settings)
        records[name] = record
        num_done += 1
        on_fold(record, num_done, len(folds) * len(seeds))
    if missing:
        evaluator.report_features()
        _keep_learning_curve(folder, evaluator.probe, [clip for clip in dataset.clips if clip.label in labels])
    wanted = [records[_record_name(number, seed)] for seed in seeds for number in range(len(folds))]
    about = _About(
        str(data), by, baseline, settings, labels, reading,
        describe_environment(describe_device(torch_device), precision=bits, num_threads=workers),
    )  # fmt: skip
    tested = list(dict.fromkeys(clip for fold in folds for clip in fold.split.test))
    return _conclude(folder, wanted, tested, about)


def _keep_learning_curve(folder: CrossvalFolder, probe: LinearProbe | None, clips: Sequence[LabelledClip]) -> None:
    curve = None if probe is None else probe.learning_curve(clips)
    if curve is not None:
        folder.keep_learning_curve(curve)


def _warnings(dataset: Dataset, folds: Sequence[Fold], by: str, objective: Objective) -> Iterable[str]:
    """What should be known of the data and the folds, each once."""
    # an official list warns itself, and random parts are of one size
    described = describe_folds(folds)[: None if by == "group" else 1]
    warnings = [*dataset.warnings, *described, *(each for fold in folds for each in fold.split.warnings)]
    if dataset.has_parts and by != "official":
        warnings.append(f"{option('by', by)}: replaces the parts that {dataset.source} assigns to its clips")
    return dict.fromkeys([*warnings, *warn_of_joined_labels(dataset.clips, objective)])


def _tell_of_what_is_kept(
    folder: CrossvalFolder, records: Mapping[str, FoldRecord], dataset: Dataset, seeds: Sequence[int],
    notice: Callable[[str], object], *, computes_on: str,
) -> None:  # fmt: skip
    """Folds that are done stay as they are: what is asked for now and holds for later ones only is said."""
    if folder.began_on not in {None, computes_on}:
        notice(f"{folder.path}: kept folds were computed on {folder.began_on}, the others are on {computes_on}")
    others = {record.seed for record in records.values()} - set(seeds)
    if others:
        notice(
            f"{folder.path}: contains folds of {counted(len(others), 'further seed')}, which the figures "
            f"leave out; {option('seeds', max(others) - seeds[0] + 1)} takes them in"
        )
    groups = {str(clip.path): clip.group for clip in dataset.clips}
    if any(clip.group != groups.get(clip.source, clip.group) for record in records.values() for clip in record.clips):
        notice(
            f"{folder.path}: kept folds were evaluated with other groups than clips have now; for intervals "
            f"of the new groups, start again with {option('overwrite')}"
        )


def _known_labels(dataset: Dataset, unknown: Sequence[str], objective: Objective) -> tuple[str, ...]:
    strange = [label for label in unknown if label not in dataset.labels]
    if strange:
        raise UsageInvalidError(
            f"{dataset.source} has no such class",
            source=option("unknown", strange[0]),
            hint=f"it has {', '.join(dataset.labels[:40])}",
        )
    labels = tuple(name for name in label_names(dataset.clips, objective) if name not in unknown)
    if len(labels) < 2:
        raise DatasetInvalidError(
            f"leaves {len(labels)} classes to train on", source=dataset.source, hint="at least two are needed"
        )
    return labels


def _for_a_probe(recipe: Recipe) -> Recipe:
    """The recipe that makes the same features, frozen, of clips as they are, and no further views."""
    backbone = recipe.backbone.model_copy(update={"frozen": True, "trainable_stages": None})
    training = recipe.training.model_copy(update={"horizontal_flip": False})
    return recipe.model_copy(
        update={"backbone": backbone, "training": training, "augment": Augment(), "testing": Testing()}
    )


def _candidates(
    recipe: str | Path | Recipe | None, init: str | Path | None, overrides: Sequence[str], baseline: Baseline | None,
    notice: Callable[[str], object],
) -> list[Candidate]:  # fmt: skip
    """The recipes among which each fold chooses; one if there is no choice."""
    if recipe == AUTO:
        candidates = auto_candidates(init, overrides, notice)
    else:
        candidates = [Candidate("", choose_recipe(recipe, init, overrides, notice))]
    if baseline is None or candidates[0].recipe.training.objective == "sigmoid":
        return candidates
    return [replace(each, recipe=_for_a_probe(each.recipe)) for each in candidates]


def _make_factory(
    fabric: Fabric, recipe: Recipe, *, labels: Sequence[str], workers: int, reading: ReadOptions,
    init: str | Path | None, quarantine: Quarantine, feature_cache: FeatureCache | str | Path | None, folder: Path,
    progress: Progress,
) -> TrainerFactory:  # fmt: skip
    setup = TrainingSetup(recipe, labels, workers, reading, init)
    cache = choose_cache(feature_cache, recipe, progress.notice)
    return TrainerFactory(fabric, setup, quarantine, cache, folder, progress=progress)


def _fingerprint(
    candidates: Sequence[Candidate], first_weights: str, baseline: Baseline | None, folds: Sequence[Fold],
    precision: FabricPrecision, reading: ReadOptions,
) -> str:  # fmt: skip
    """Of all that a fold's record depends on but its seed, the device, and versions of packages."""
    digest = hashlib.sha256()
    for candidate in candidates:
        digest.update(candidate.recipe.model_copy(update={"description": ""}).to_hashed_json().encode())
    evaluated = None if baseline is None else f"{baseline} 2"  # 2: its penalty comes from groups that are left out
    reader = (reading.decoder.value, reading.picking.value, reading.video_stream)
    how = (evaluated, first_weights, precision, *reader)
    digest.update(repr(how).encode())
    for fold in folds:
        for part in (fold.split.train, fold.split.validation, fold.split.test):
            digest.update(repr([(str(clip.path.absolute()), clip.label) for clip in part]).encode())
    return digest.hexdigest()


def _record_name(number: int, seed: int) -> str:
    return f"{number:03}-seed{seed}.json"


def _record(
    fold: Fold, seed: int, result: FoldResult, labels: Sequence[str], quarantine: Quarantine, objective: Objective,
    *, seconds: float,
) -> FoldRecord:  # fmt: skip
    calibration = result.calibration
    clips = []
    said = result.said
    truths = truths_of(said.clips, objective)
    probe_predicted = {} if result.probe is None else result.probe.predicted(labels)
    for clip, truth, logits, num_frames in zip(said.clips, truths, said.window_logits, said.num_frames, strict=True):
        scores = average_windows(logits, num_frames, calibration.temperature, objective)
        best = int(scores.argmax())
        clips.append(
            ClipScores(
                source=str(clip.path), label=clip.label, truth=truth, group=clip.group, fold=fold.name, seed=seed,
                is_known=set(truth) <= set(labels), predicted=labels[best], score=min(1.0, float(scores[best])),
                uncertain=bool(scores[best] < calibration.threshold),
                scores=tuple(map(float, scores)),
                uncalibrated_scores=tuple(map(float, average_windows(logits, num_frames, 1.0, objective))),
                probe_predicted=probe_predicted.get(clip),
            )
        )  # fmt: skip
    reasons = ((clip, quarantine.reasons[clip]) for clip in fold.split.test if clip in quarantine.reasons)
    return FoldRecord(
        fold=fold.name, seed=seed, num_train=len(fold.split.train), num_validation=len(fold.split.validation),
        validation_top1=result.validation_top1, validation_nll=result.validation_nll, kept_epoch=result.kept_epoch,
        temperature=calibration.temperature, threshold=calibration.threshold, seconds=seconds, clips=tuple(clips),
        features=result.features,
        failed=tuple(FailedClip(source=str(clip.path), message=reason) for clip, reason in reasons),
    )  # fmt: skip


@dataclass(frozen=True)
class _About:
    """What a cross-validation was of, for its figures and its report."""

    data: str
    by: str
    baseline: Baseline | None
    recipe: Recipe
    labels: Sequence[str]
    reading: ReadOptions
    environment: Mapping[str, str]


def _describe_features(records: Sequence[FoldRecord]) -> list[str]:
    """Which features were chosen how often; nothing if there was no choice."""
    counts = Counter(record.features for record in records if record.features)
    named = ", ".join(f"{name} ({count} times)" for name, count in counts.most_common())
    return [f"Features chosen on the training side of each fold: {named}."] if counts else []


def _conclude(
    kept: CrossvalFolder, records: Sequence[FoldRecord], tested: Sequence[LabelledClip], about: _About
) -> CrossvalMetrics:
    folder = kept.path
    data, by, baseline, objective = about.data, about.by, about.baseline, about.recipe.training.objective
    if not any(record.known for record in records):
        raise DatasetInvalidError("not one clip of a test part could be read", source=data, hint="see the lines above")
    metrics = pool(records, about.labels, data=data, by=by, baseline=baseline, objective=objective)
    lines = "".join(f"{to_json(clip)}\n" for record in records for clip in record.clips)
    write_atomically(folder / "predictions.jsonl", lines.encode())
    write_atomically(folder / "metrics.json", to_json(metrics, indent=2).encode())
    write_report(
        folder / "report.html",
        title=f"Cross-validation of {baseline or 'a recipe'}: {data}, {metrics.num_folds} folds by {by}",
        metrics=metrics.pooled,
        clips=clip_results(records, about.labels),
        parts={"tested out of fold": tested},
        notes=[
            f"Top-1 {metrics.top1} over {counted(len(metrics.seeds), 'seed')}, each pooled over {metrics.num_folds} "
            f"folds; over folds {metrics.top1_by_fold}. The figures below are of all seeds together.",
            f"Calibrated: error {metrics.ece} (before {metrics.ece_uncalibrated}), negative log-likelihood "
            f"{metrics.nll} (before {metrics.nll_uncalibrated}); {metrics.accepted} of known clips are accepted.",
            *([metrics.linear_probe.describe()] if metrics.linear_probe else []),
            *_describe_features(records),
        ],
        learning_curve=kept.learning_curve(),
        environment=about.environment,
        recipe_toml=recipe_to_toml(about.recipe),
        reading=about.reading,
    )
    return metrics
