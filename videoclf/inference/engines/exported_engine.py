"""Runs exported models with any runtime, without torch.

An exported model is one graph from uint8 frames to probabilities (`inference.export.whole_graph.WholeGraph`). Its
stages have names, at which the graph is cut: frames are resized before, in the reader's threads and by NumPy, and the
backbone runs on a fixed number of images at a time, those of several clips together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from videoclf.errors import ModelFileInvalidError
from videoclf.inference.engines.numpy_resize import resize_frames
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.engines.runtime_lifetime import PerProcess
from videoclf.media.options import num_cores
from videoclf.media.reader import Chunks
from videoclf.recipe.backbone_names import backbone_facts
from videoclf.recipe.header import METADATA_KEY, ModelHeader, parse_header
from videoclf.recipe.trained_clips import METADATA_KEY as TRAINED_CLIPS_KEY
from videoclf.recipe.trained_clips import parse_trained_clips, to_metadata
from videoclf.recipe.validation_errors import shortened

STAGES = ("resized", "items", "features", "sequences", "logits", "probabilities")
"""The results of `WholeGraph`, in their order. A file's outputs are the last two; the others are tensors inside."""

INPUT, OUTPUTS = "frames", STAGES[-2:]

PARTS = ((INPUT, STAGES[:2]), ("items", STAGES[2:3]), ("features", STAGES[3:]))
"""The input and the results of each part of a model (`inference.export.whole_graph.graph_parts`)."""

GRAPH_VERSION = 1
"""Version of the meaning of these names. Raise it whenever an older file would be run incorrectly."""

_GRAPH_KEY = "videoclf_graph"
_NEEDED_KEYS = (METADATA_KEY, _GRAPH_KEY)
METADATA_KEYS = (*_NEEDED_KEYS, TRAINED_CLIPS_KEY)
_ITEMS_PER_PASS = 4
"""Pictures that a per-frame backbone sees at a time. Of more, what one layer hands to the next no longer stays in a
core's cache: 16 took a tenth longer at 224×224. Always so many: OpenVINO plans each new shape anew."""

NUM_AT_ONCE = min(4, num_cores())
"""Number of simultaneous passes of a per-frame backbone, each with its share of the cores. Several threads within one
pass would wait for each other whenever the reader's threads, or another process, take a core."""

MAX_RUN_SECONDS = 600.0
"""Maximum time of one call of a `Part`: even without a loop a file can ask for more than any machine can do. The
slowest of ours takes some seconds."""

TOOK_TOO_LONG = f"it took longer than {MAX_RUN_SECONDS:.0f} s"

Part = Callable[[npt.NDArray[Any]], Float32Array]
"""A part of the graph, from one stage to another; any number of threads may call it. It raises
`ModelFileInvalidError` if the graph fails or takes too long."""


class Graph(Protocol):
    """An exported model in the runtime that runs it."""

    def part(self, start: str, end: str, *, num_rows: int | None = None) -> Part:
        """The part that computes one stage from another; see `STAGES` and `INPUT`.

        Args:
            start: the stage that it takes.
            end: the stage that it computes.
            num_rows: None: inputs of any length, one call at a time. A number: inputs of this length only, and up to
                `NUM_AT_ONCE` calls at once.
        """
        ...


@dataclass(frozen=True)
class ExportedFile:
    """An exported model that was read: its graph and its metadata."""

    graph: Graph
    header: ModelHeader
    trained_clips: frozenset[str]
    """Hashes of the clips that it was trained on; see `videoclf.recipe.trained_clips`."""


class _Parts:
    """What runs a graph, with threads of its own.

    Args:
        graph: the model's.
        num_rows: of one pass of the backbone; see `Graph.part`.
    """

    def __init__(self, graph: Graph, num_rows: int | None) -> None:
        self.pool = ThreadPoolExecutor(NUM_AT_ONCE)
        with ThreadPoolExecutor() as pool:  # compiling them takes long beside all else before the first prediction
            arrange = pool.submit(graph.part, "resized", "items")
            encode = pool.submit(graph.part, "items", "features", num_rows=num_rows)
            classify = pool.submit(graph.part, "features", "logits")
        self.arrange, self.encode, self.classify = arrange.result(), encode.result(), classify.result()


class ExportedEngine:
    """Predicts with an exported model. A forked process opens it again at its first prediction, if the runtime supports
    that.

    Args:
        file: the model.
    """

    def __init__(self, file: ExportedFile) -> None:
        self._file, self._header = file, file.header
        backbone = file.header.recipe.backbone
        self._is_one_by_one = backbone_facts(backbone.name).kind == "2d" and not backbone.temporal_shift
        num_rows = _ITEMS_PER_PASS if self._is_one_by_one else None
        self._opened = PerProcess(partial(_Parts, file.graph, num_rows))

    @property
    def computes_on(self) -> str:
        """See `Engine`."""
        return f"cpu, float32, by {type(self._file.graph).__name__}"

    @property
    def trained_clips(self) -> frozenset[str]:
        """Hashes of the clips that it was trained on, from its file."""
        return self._file.trained_clips

    def preprocess(self, chunks: Chunks) -> Float32Array:
        """Preprocess one window: ``T×3×H×W`` float32."""
        spec = self._header.recipe.preprocess
        return np.concatenate([resize_frames(chunk.rgb, spec) for chunk in chunks])

    def logits(self, windows: Sequence[Float32Array]) -> Float32Array:
        """Compute the logits, ``B×C``, of windows of any lengths; nothing is computed for padding, except to fill the
        last pass."""
        parts = self._opened.get()
        logits = [parts.classify(features) for features in self._run(parts, windows)]
        for logits_C in logits:
            self._check(logits_C, (len(self._header.labels),), "scores")
        return np.stack(logits)

    def features(self, window: Float32Array) -> Float32Array:
        """Compute the backbone's features of one window, ``T'×D``."""
        join = self._file.graph.part("features", "sequences")
        sequence: Float32Array = join(self._run(self._opened.get(), [window])[0])[
            0
        ]  # a second one is its mirror image's
        return sequence

    def _check(self, found: Float32Array, shape: tuple[int, ...], what: str) -> None:
        if found.shape != shape or found.dtype != np.float32:
            raise ModelFileInvalidError(
                f"its graph returns {what} of shape {found.shape} ({found.dtype}) instead of {shape} (float32)",
                source=f"model {self._header.name}",
                hint="export it again",
            )

    def _run(self, parts: _Parts, windows: Sequence[Float32Array]) -> list[Float32Array]:
        """The features of each window's items."""
        if not self._is_one_by_one:
            return [parts.encode(parts.arrange(window)) for window in windows]

        def encode(group: Float32Array) -> Float32Array:
            features = parts.encode(group)
            self._check(features, (len(group), *features.shape[1:]), "features")  # else they would be other pictures'
            return features

        nums_items: list[int] = []

        def items() -> Iterator[Float32Array]:
            for window in windows:
                arranged = parts.arrange(window)
                nums_items.append(len(arranged))
                yield from arranged

        features = np.concatenate(list(parts.pool.map(encode, _full_groups(items(), _ITEMS_PER_PASS))))
        ends = np.cumsum(nums_items)
        return np.split(features[: ends[-1]], ends[:-1])


def _full_groups(rows: Iterable[Float32Array], size: int) -> Iterator[Float32Array]:
    """So many rows at a time, the last of them repeated to fill the last group."""
    rows = iter(rows)
    while group := list(islice(rows, size)):
        yield np.stack([*group, *[group[-1]] * (size - len(group))])


def exported_metadata(header: ModelHeader, trained_clips: Collection[str]) -> dict[str, str]:
    """The metadata that an exported file contains besides its graph."""
    return {**header.to_metadata(), _GRAPH_KEY: str(GRAPH_VERSION), **to_metadata(trained_clips)}


def parse_metadata(metadata: dict[str, str], path: Path) -> tuple[ModelHeader, frozenset[str]]:
    """Check the header of an exported file, and read the hashes of the clips that it was trained on.

    Args:
        metadata: the graph's metadata.
        path: names the file in messages.

    Raises:
        ModelFileInvalidError: the file was not exported by videoclf, is of another version, or its header has hostile
            values.
    """
    if not metadata.keys() >= set(_NEEDED_KEYS):
        raise ModelFileInvalidError(
            "was not exported by videoclf", source=path, hint=f"use: videoclf export MODEL --out {path.name}"
        )
    version = metadata[_GRAPH_KEY]
    if version != str(GRAPH_VERSION):
        raise ModelFileInvalidError(
            f"was exported in version {shortened(version)}, but this version reads {GRAPH_VERSION}",
            source=path,
            hint=f"export its model again: videoclf export MODEL --out {path.name}",
        )
    trained_clips = parse_trained_clips(metadata.get(TRAINED_CLIPS_KEY, ""), path)
    return parse_header(metadata[METADATA_KEY], path), trained_clips
