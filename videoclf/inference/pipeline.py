"""From videos to predictions: reads, batches across clips and averages a clip's windows; in order, with failures as
values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

import numpy as np
import numpy.typing as npt

from videoclf.errors import ModelFileInvalidError
from videoclf.inference.engines.protocol import Engine, Float32Array, W
from videoclf.inference.prediction import Failure, LabelScore, Prediction
from videoclf.media.options import DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import ClipRequest, ReadEnd, ReadWindow, read_clips_or_wait
from videoclf.media.sources import without_credentials
from videoclf.recipe.header import ModelHeader
from videoclf.recipe.recipe import Recipe
from videoclf.recipe.training import Objective

FRAMES_PER_BATCH = 128
"""Number of frames of several clips that go through the network together: enough to use it well, with bounded
memory."""

_MAX_WAIT_SECONDS = 0.5
"""When the reader has given nothing for so long (a slow list on standard input, say), what is there is classified."""


def predict_clips(
    engine: Engine[W],
    header: ModelHeader,
    paths: Iterable[Path],
    *,
    num_threads: int,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
) -> Iterator[Prediction | Failure]:
    """Predict the classes of each video, in the order of the paths.

    A video with more frames than the recipe's ``max_frames`` is cut into windows. Their probabilities are averaged,
    weighted by their numbers of frames.

    Args:
        engine: runs the network.
        header: header of the engine's model.
        paths: taken as they are needed; may be endless.
        num_threads: number of videos decoded at the same time.
        reading: decoder, frame selection, isolation and limits.

    Yields:
        A `Prediction` or, for a source that cannot be read, a `Failure`.
    """
    sources: dict[int, str] = {}  # of the clips on their way only: the paths may be endless

    def requests() -> Iterator[ClipRequest]:
        for index, path in enumerate(paths):
            sources[index] = without_credentials(path)
            yield clip_request(path, header.recipe)

    batcher = _Batcher(engine, header)
    items = read_clips_or_wait(
        requests(), engine.preprocess, num_threads=num_threads, options=reading, max_wait_seconds=_MAX_WAIT_SECONDS
    )
    for item in items:
        if item is None:
            batcher.flush()
        elif isinstance(item, ReadWindow):
            batcher.add_window(item)
        else:
            batcher.add_end(item, sources.pop(item.request_index))
        yield from batcher.finished()
    batcher.flush()
    yield from batcher.finished()


def clip_request(path: Path, recipe: Recipe, *, window_seed: int | None = None, speed: float = 1.0) -> ClipRequest:
    """The request to the reader for a clip under a recipe; see `ClipRequest`.

    At a speed of 2, sample times are twice as far apart; only training, with its ``window_seed``, uses other speeds
    than 1.
    """
    return ClipRequest(
        path,
        fps=recipe.sampling.fps / speed,
        max_frames=recipe.sampling.max_frames,
        window_seed=window_seed,
        shuffle_time=recipe.sampling.order == "shuffled",
        jitter_steps=0.0 if window_seed is None else recipe.augment.temporal_jitter / 2,
    )


def softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Probabilities over the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The probability of each label separately, in float64."""
    probabilities: npt.NDArray[np.float64] = 0.5 * (1 + np.tanh(logits.astype(np.float64) / 2))  # never overflows
    return probabilities


def average_windows(
    window_logits: Iterable[Float32Array],
    num_frames: Iterable[int],
    temperature: float,
    objective: Objective = "softmax",
) -> npt.NDArray[np.float64]:
    """``C`` probabilities of a clip from the ``C`` logits of each of its windows, weighted by their numbers of
    frames."""
    logits_WC, num_frames_W, first_window = np.stack(list(window_logits)), np.array(list(num_frames)), np.zeros(1, int)
    scores_C: npt.NDArray[np.float64]
    [scores_C] = average_windows_of_clips(logits_WC, num_frames_W, first_window, temperature, objective)
    return scores_C


def average_windows_of_clips(
    logits_WC: Float32Array,
    num_frames_W: npt.NDArray[np.int64],
    first_window_N: npt.NDArray[np.int64],
    temperature: float,
    objective: Objective = "softmax",
) -> npt.NDArray[np.float64]:
    """``N×C`` probabilities of many clips, whose windows follow one another; each clip's windows begin at its
    ``first_window_N``."""
    probability = softmax if objective == "softmax" else sigmoid
    weighted_WC = probability(logits_WC / temperature) * num_frames_W[:, None]
    total_NC: npt.NDArray[np.float64] = np.add.reduceat(weighted_WC, first_window_N)
    return total_NC / np.add.reduceat(num_frames_W, first_window_N)[:, None]


@dataclass
class _Clip:
    """A clip on its way: windows that have been through the network, and the reader's last word once it is there."""

    logits: list[Float32Array] = field(default_factory=list)
    num_frames: list[int] = field(default_factory=list)
    num_waiting: int = 0
    end: ReadEnd | None = None
    source: str = ""


class _Batcher(Generic[W]):
    """Collects windows until a batch is full; clips leave in the order in which they came."""

    def __init__(self, engine: Engine[W], header: ModelHeader) -> None:
        self._engine = engine
        self._header = header
        self._waiting: list[tuple[_Clip, W]] = []
        self._clips: dict[int, _Clip] = {}  # by request index, in order

    def add_window(self, window: ReadWindow[W]) -> None:
        clip = self._clips.setdefault(window.request_index, _Clip())
        clip.num_waiting += 1
        self._waiting.append((clip, window.value))
        if sum(len(value) for _, value in self._waiting) >= FRAMES_PER_BATCH:
            self.flush()

    def add_end(self, end: ReadEnd, source: str) -> None:
        clip = self._clips.setdefault(end.request_index, _Clip())
        clip.end, clip.source = end, source

    def flush(self) -> None:
        if not self._waiting:
            return
        logits = self._engine.logits([value for _, value in self._waiting])
        for (clip, value), clip_logits in zip(self._waiting, logits, strict=True):
            clip.logits.append(clip_logits)
            clip.num_frames.append(len(value))
            clip.num_waiting -= 1
        self._waiting.clear()

    def finished(self) -> Iterator[Prediction | Failure]:
        while self._clips:
            index, clip = next(iter(self._clips.items()))
            if clip.end is None or clip.num_waiting:
                return
            del self._clips[index]
            yield self._conclude(clip, clip.end)

    def _conclude(self, clip: _Clip, end: ReadEnd) -> Prediction | Failure:
        if end.failure is not None:
            return Failure.of(clip.source, end.failure)
        assert end.info is not None  # an end without failure comes from an opened file
        calibration = self._header.calibration
        scores = average_windows(clip.logits, clip.num_frames, calibration.temperature, self._header.objective)
        if not np.isfinite(scores).all():
            raise ModelFileInvalidError(
                f"its scores for {clip.source} are not numbers",
                source=f"model {self._header.name}",
                hint="its weights are invalid: use or train another model",
            )
        ranked = np.argsort(-scores, kind="stable")
        return Prediction(
            source=clip.source,
            labels=tuple(LabelScore(label=self._header.labels[i], score=min(1.0, float(scores[i]))) for i in ranked),
            uncertain=bool(scores[ranked[0]] < calibration.threshold),
            warnings=(*end.warnings, *_repeat_warning(end.num_repeated, sum(clip.num_frames), end.info.average_fps)),
            model=self._header.name,
            duration_seconds=round(end.info.duration_seconds, 3),
            num_frames=sum(clip.num_frames),
        )


def _repeat_warning(num_repeated: int, num_frames: int, fps: float) -> tuple[str, ...]:
    if num_repeated == 0:
        return ()
    return (f"{num_repeated} of {num_frames} frames are repeated: the video has only {fps:.3g} frames a second",)
