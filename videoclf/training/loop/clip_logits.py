"""The logits of a set of clips, and how good they are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from videoclf.data.dataset import LabelledClip
from videoclf.evaluation.likelihood import Targets, mean_nll, top1_accuracy
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.pipeline import average_windows
from videoclf.recipe.training import Objective


@dataclass
class ClipLogits:
    """The network's logits for a set of clips, window by window."""

    clips: list[LabelledClip] = field(default_factory=list)
    window_logits: list[list[Float32Array]] = field(default_factory=list)
    num_frames: list[list[int]] = field(default_factory=list)
    objective: Objective = "softmax"

    @property
    def units(self) -> list[Hashable]:
        """Of each clip, its group, or its path if it has none."""
        return [clip.path if clip.group is None else clip.group for clip in self.clips]

    def score(self, targets: Targets) -> tuple[float, float]:
        """Mean negative log-likelihood in nats, and the share of clips whose best class (or label) is correct."""
        windows = zip(self.window_logits, self.num_frames, strict=True)
        probabilities = np.array([average_windows(w, n, 1.0, self.objective) for w, n in windows])
        return mean_nll(probabilities, targets, self.objective), top1_accuracy(probabilities, targets)

    def predicted(self, labels: Sequence[str]) -> dict[LabelledClip, str]:
        """The most probable class (or label) of each clip; ``labels`` are in the order of the logits."""
        windows = zip(self.window_logits, self.num_frames, strict=True)
        best = [int(average_windows(w, n, 1.0, self.objective).argmax()) for w, n in windows]
        return {clip: labels[index] for clip, index in zip(self.clips, best, strict=True)}
