"""The reference engine: our torch module, with batch norms folded into the convolutions before them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from videoclf.inference.engines.protocol import Float32Array
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.device_map import apply_device_map, choose_device_map
from videoclf.modeling.padding import pad_sequences
from videoclf.modeling.preprocess import preprocess_window
from videoclf.modeling.torch_threads import beside_lost_threads, refuse_after_fork
from videoclf.recipe.recipe import Recipe

if TYPE_CHECKING:
    from videoclf.media.reader import Chunks


class TorchEngine:
    """Runs a classifier on one device, or its parts on several.

    Args:
        classifier: in evaluation mode.
        recipe: its preprocessing is used.
        device: ``cpu``, ``cuda``, ``cuda:1``, ..., or ``auto``: a GPU if there is one.
        device_map: instead of a device, the device of each part; see `videoclf.modeling.device_map.parse_device_map`.

    Raises:
        DeviceUnavailableError: this machine has no such device.
        UsageInvalidError: the parts are not those of the classifier.
    """

    def __init__(
        self, classifier: VideoClassifier, recipe: Recipe, device: str = "auto", *, device_map: str | None = None
    ) -> None:
        placement = choose_device_map(device, device_map)
        self._process_id = os.getpid()
        self.device = placement.first
        self._classifier = apply_device_map(fold_batch_norms(classifier), placement)
        self._recipe = recipe

    @property
    def computes_on(self) -> str:
        """See `Engine`."""
        return f"{describe_device(self.device)}, float32"

    def preprocess(self, chunks: Chunks) -> Tensor:
        """Preprocess one window: ``T×3×H×W`` float32 on the CPU."""
        return preprocess_window(chunks, self._recipe.preprocess)

    def logits(self, windows: Sequence[Tensor]) -> Float32Array:
        """Compute the logits, ``B×C``, of a batch of windows of any lengths.

        Raises:
            DeviceUnavailableError: the network is on a GPU, and this process was forked from the one that loaded it.
        """
        refuse_after_fork(self.device, self._process_id)
        return beside_lost_threads(self._logits, windows)

    def features(self, window: Tensor) -> Float32Array:
        """Compute the backbone's features of one window, ``T'×D``; raises the same as `logits`."""
        refuse_after_fork(self.device, self._process_id)
        return beside_lost_threads(self._features, window)

    @torch.inference_mode()
    def _logits(self, windows: Sequence[Tensor]) -> Float32Array:
        clips, num_frames = pad_sequences(windows)
        clips, num_frames = clips.to(self.device), num_frames.to(self.device)
        logits_BC: Tensor = self._classifier(clips, num_frames)
        if self._recipe.testing.horizontal_flip:
            logits_BC = (logits_BC + self._classifier(clips.flip(-1), num_frames)) / 2
        result: Float32Array = logits_BC.cpu().numpy()
        return result

    @torch.inference_mode()
    def _features(self, window: Tensor) -> Float32Array:
        num_frames = torch.tensor([len(window)], device=self.device)
        features, _ = self._classifier.encode(window[None].to(self.device), num_frames)
        result: Float32Array = features[0].cpu().numpy()
        return result


def describe_device(device: torch.device) -> str:
    """``cpu``, or ``cuda:0 (NVIDIA H200)``."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
