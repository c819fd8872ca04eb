"""The reference engine: our torch module, its batch norms folded into the convolutions before them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from videoclf.errors import DeviceUnavailable
from videoclf.inference.engine import Float32Array
from videoclf.media.reader import Chunks
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.folding import fold_batch_norms
from videoclf.modeling.preprocess import preprocess_window
from videoclf.modeling.sequences import pad_sequences
from videoclf.recipe.recipe import Recipe


class TorchEngine:
    """Runs a classifier on one device.

    Args:
        classifier: in evaluation mode.
        recipe: how it prepares and looks.
        device: ``cpu``, ``cuda``, ``cuda:1``, ..., or ``auto``: a GPU where there is one.

    Raises:
        DeviceUnavailable: this machine has no such device.
    """

    def __init__(self, classifier: VideoClassifier, recipe: Recipe, device: str = "auto") -> None:
        self.device = find_device(device)
        self._classifier = fold_batch_norms(classifier).to(self.device)
        self._recipe = recipe

    @property
    def computes_on(self) -> str:
        """See `Engine`."""
        return describe_device(self.device)

    def preprocess(self, chunks: Chunks) -> Tensor:
        """One window: ``T×3×H×W`` float32 on the CPU."""
        return preprocess_window(chunks, self._recipe.preprocess)

    @torch.inference_mode()
    def logits(self, windows: Sequence[Tensor]) -> Float32Array:
        """``B×C`` of a batch of windows of any lengths."""
        clips, num_frames = pad_sequences(windows)
        clips, num_frames = clips.to(self.device), num_frames.to(self.device)
        logits_BC: Tensor = self._classifier(clips, num_frames)
        if self._recipe.testing.horizontal_flip:
            logits_BC = (logits_BC + self._classifier(clips.flip(-1), num_frames)) / 2
        result: Float32Array = logits_BC.cpu().numpy()
        return result

    @torch.inference_mode()
    def features(self, window: Tensor) -> Float32Array:
        """``T'×D``: what the backbone makes of one window."""
        num_frames = torch.tensor([len(window)], device=self.device)
        features, _ = self._classifier.encode(window[None].to(self.device), num_frames)
        result: Float32Array = features[0].cpu().numpy()
        return result


def describe_device(device: torch.device) -> str:
    """``cpu``, or ``cuda:0 (NVIDIA H200)``."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def find_device(name: str) -> torch.device:
    """The torch device of that name; ``auto`` is a GPU where there is one.

    Raises:
        DeviceUnavailable: unknown, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceUnavailable(f"--device {name!r}: no such kind of device; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise DeviceUnavailable(f"--device {name!r}: not supported; use auto, cpu, cuda or cuda:N")
    num_gpus = torch.cuda.device_count()
    if num_gpus == 0:
        raise DeviceUnavailable(f"--device {name!r}: torch finds no GPU on this machine; use --device cpu")
    if (device.index or 0) >= num_gpus:
        raise DeviceUnavailable(f"--device {name!r}: this machine's GPUs are cuda:0 to cuda:{num_gpus - 1}")
    return device
