"""Feature extraction: computes and caches the features of every clip of a dataset before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoclf.data.dataset import LabelledClip, load_dataset
from videoclf.data.feature_cache import CacheSize, FeatureCache
from videoclf.data.feature_store import FeatureStore
from videoclf.errors import RecipeInvalidError
from videoclf.first_keywords import accepts_first_keywords
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.modeling.device_map import find_device
from videoclf.option_names import option
from videoclf.progress import ProgressLike, as_progress
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.cached_features import FeatureExamples
from videoclf.training.examples.decoded import Quarantine
from videoclf.training.examples.feature_encoder import make_encoder
from videoclf.training.examples.resizer import make_resizer
from videoclf.training.run.initialization import build_network, choose_recipe


@dataclass(frozen=True)
class Extraction:
    """The result of an extraction."""

    folder: Path
    """The folder of the cache."""
    num_clips: int
    """Number of clips in the dataset."""
    num_computed: int
    """Number of clips of which the cache lacked a view."""
    failed: dict[LabelledClip, str]
    """Clips that could not be read, and why."""
    num_bytes_written: int
    size: CacheSize
    """Size of the whole cache, including other datasets and recipes."""

    @property
    def num_served(self) -> int:
        """Number of clips of which all views were already cached."""
        return self.num_clips - self.num_computed - len(self.failed)


@accepts_first_keywords(num_threads="workers", observer="progress")
def extract(
    data: str | Path,
    *,
    out: FeatureCache | str | Path | None = None,
    recipe: str | Path | Recipe | None = None,
    overrides: Sequence[str] = (),
    init: str | Path | None = None,
    device: str = "auto",
    workers: int = DEFAULT_NUM_THREADS,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    progress: ProgressLike = None,
) -> Extraction:
    """Compute the features of all clips that a cache lacks. `train` with that cache then decodes none of them.

    Each clip is stored when it is finished: an interrupted extraction continues where it stopped.

    Args:
        data: a folder ``CLASS/clip.avi`` or a list of ``path,label``; see `videoclf.data.dataset.load_dataset`.
        out: the cache or its folder; None: `videoclf.data.feature_cache.default_cache_folder`.
        recipe: one with a frozen backbone: a zoo name, a TOML file or a `Recipe`; by default ``mobilenet_v2-gru``.
        overrides: ``section.key=value`` changes to it.
        init: a model file or name whose backbone is used; the same as for `train`.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...; training on another kind computes features again.
        workers: number of videos decoded at the same time.
        reading: decoder, frame selection, isolation and limits.
        progress: receives the progress, and a notice for each clip that fails.

    Raises:
        RecipeInvalidError: the backbone is not frozen, or the recipe cannot be used.
        RunFolderUnusableError: the cache cannot be written.
        VideoclfError: the dataset, model file, weights or device cannot be used.
    """
    watcher = as_progress(progress)
    settings = choose_recipe(recipe, init, overrides, watcher.notice)
    if not settings.backbone.frozen:
        raise RecipeInvalidError(
            f"{settings.backbone.name} is trained here, so its features change with every step",
            source="backbone.frozen = false",
            hint=f"use a recipe with a frozen backbone, or add {option('set', 'backbone.frozen=true')}",
        )
    dataset = load_dataset(data)
    for warning in dataset.warnings:
        watcher.notice(warning)
    torch_device = find_device(device)
    cache = out if isinstance(out, FeatureCache) else FeatureCache(out)
    classifier = build_network(settings, max(2, len(dataset.labels)), init)
    quarantine = Quarantine(watcher)
    store = FeatureStore(cache, None, watcher.notice, is_read_through=True)
    resizer = make_resizer(settings.preprocess, torch_device, watcher.notice)
    encoder = make_encoder(classifier.to(torch_device), settings, resizer)
    examples = FeatureExamples(encoder, quarantine, store, workers, watcher, reading)
    watcher.stage("extracting", len(dataset.clips))
    for _ in examples.ensure(dataset.clips):
        pass
    if cache.num_damaged:
        watcher.notice(f"{cache.num_damaged} damaged files in {cache.folder} were computed again")
    return Extraction(
        cache.folder,
        len(dataset.clips),
        examples.num_computed,
        quarantine.reasons,
        store.num_bytes_written,
        cache.size(),
    )
