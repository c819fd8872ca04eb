"""Runs exported models, whatever runtime reads them; knows no torch.

An exported model is one graph from uint8 frames to probabilities (`modeling.portable.PortableModel`). Its stages have
names, and the graph is cut there: frames are resized in the reader's threads, so that no window of large frames is ever
held, and the backbone runs on a bounded number of pictures at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from videoclf.errors import ModelFileInvalid
from videoclf.inference.engine import Float32Array
from videoclf.media.reader import Chunks
from videoclf.recipe.backbones import backbone_facts
from videoclf.recipe.framing import without_far_sides
from videoclf.recipe.header import METADATA_KEY, ModelHeader, parse_header
from videoclf.recipe.recipe import shortened

STAGES = ("resized", "items", "features", "sequences", "logits", "probabilities")
"""What `PortableModel` gives, in its order. A file's outputs are the last two; the others are tensors inside."""

INPUT, OUTPUTS = "frames", STAGES[-2:]

PARTS = ((INPUT, STAGES[:2]), ("items", STAGES[2:3]), ("features", STAGES[3:]))
"""What each part of a model takes and gives (`modeling.portable.portable_parts`)."""

GRAPH_VERSION = 1
"""Of what the names mean. Raise it whenever a file of before would be run wrongly."""

_GRAPH_KEY = "videoclf_graph"
METADATA_KEYS = (METADATA_KEY, _GRAPH_KEY)
_ITEMS_PER_PASS = 16
"""Pictures that a per-frame backbone sees at a time: memory stays bounded (larger groups were no faster)."""

Part = Callable[[npt.NDArray[Any]], Float32Array]
"""A stretch of the graph, from one stage to another; any number of threads may call it."""


class Graph(Protocol):
    """An exported model in the runtime that reads it."""

    def part(self, start: str, end: str) -> Part:
        """What computes one stage from another; see `STAGES`, and `INPUT`."""
        ...


@dataclass(frozen=True)
class PortableFile:
    """An exported model as it was read: what runs it, and what it says of itself."""

    graph: Graph
    header: ModelHeader


class PortableEngine:
    """Predicts with an exported model.

    Args:
        file: the model.
    """

    def __init__(self, file: PortableFile) -> None:
        self._file, self._header = file, file.header
        stages = (INPUT, "resized", "items", "features", "logits")
        with ThreadPoolExecutor() as pool:  # compiling them takes longer than all else before the first prediction
            self._resize, self._arrange, self._encode, self._classify = pool.map(
                file.graph.part, stages[:-1], stages[1:]
            )

    @property
    def computes_on(self) -> str:
        """See `Engine`."""
        return f"cpu, by {type(self._file.graph).__name__}"

    def preprocess(self, chunks: Chunks) -> Float32Array:
        """One window: ``T×3×H×W`` float32."""
        spec = self._header.recipe.preprocess
        return np.concatenate([self._resize(without_far_sides(chunk.rgb, spec)) for chunk in chunks])

    def logits(self, windows: Sequence[Float32Array]) -> Float32Array:
        """``B×C`` of windows of any lengths; one by one, so that nothing is computed for padding."""
        logits_BC = np.stack([self._classify(self._run(window)) for window in windows])
        if logits_BC.shape[1:] != (len(self._header.labels),):
            raise ModelFileInvalid(
                f"model {self._header.name}: its graph gives scores of shape {logits_BC.shape[1:]} for "
                f"{len(self._header.labels)} labels; export it again"
            )
        return logits_BC

    def features(self, window: Float32Array) -> Float32Array:
        """``T'×D``: what the backbone makes of one window."""
        join = self._file.graph.part("features", "sequences")
        sequence: Float32Array = join(self._run(window))[0]  # a second one is its mirror image's
        return sequence

    def _run(self, window: Float32Array) -> Float32Array:
        items = self._arrange(window)
        backbone = self._header.recipe.backbone
        is_one_by_one = backbone_facts(backbone.name).kind == "2d" and not backbone.temporal_shift
        group = _ITEMS_PER_PASS if is_one_by_one else len(items)
        return np.concatenate([self._encode(items[i : i + group]) for i in range(0, len(items), group)])


def portable_metadata(header: ModelHeader) -> dict[str, str]:
    """What an exported file keeps beside its graph."""
    return {**header.to_metadata(), _GRAPH_KEY: str(GRAPH_VERSION)}


def parse_metadata(metadata: dict[str, str], path: Path) -> ModelHeader:
    """The checked header of an exported file.

    Args:
        metadata: of the graph.
        path: names the file in messages.

    Raises:
        ModelFileInvalid: not exported by videoclf, of another version, or a header with hostile values.
    """
    if not metadata.keys() >= set(METADATA_KEYS):
        raise ModelFileInvalid(f"{path}: was not exported by videoclf; use: videoclf export MODEL --out {path.name}")
    version = metadata[_GRAPH_KEY]
    if version != str(GRAPH_VERSION):
        raise ModelFileInvalid(
            f"{path}: was exported in version {shortened(version)}, not the {GRAPH_VERSION} known here; export its "
            f"model again: videoclf export MODEL --out {path.name}"
        )
    return parse_header(metadata[METADATA_KEY], path)
