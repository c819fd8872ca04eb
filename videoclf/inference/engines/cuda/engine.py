"""The engine for a GPU: frames are uploaded as bytes and preprocessed there, while the network processes earlier ones.

The reader's threads copy decoded frames to pinned memory and start upload and preprocessing (`kernels.preprocess`) on
their own stream, so frames that wait for the network are already on the GPU. A per-frame network runs over the frames
of all clips of a batch, one after another, so nothing is computed for padding; the GRU runs over padded sequences
(`modeling.temporal.gru`). On a CPU the same code runs with the kernels' references, which is how it is tested.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from videoclf.errors import MemoryExhaustedError, one_line
from videoclf.inference.engines.cuda.execution_mode import execution_modes, fastest_sound_backbone, float32_in_full
from videoclf.inference.engines.cuda.launching import Launching
from videoclf.inference.engines.cuda.preprocess import Preparation, PreparedWindow
from videoclf.inference.engines.protocol import Float32Array
from videoclf.inference.engines.torch_engine import describe_device
from videoclf.kernels.preprocess import Output
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.classifier import VideoClassifier
from videoclf.modeling.device_map import find_device
from videoclf.modeling.padding import pad_sequences
from videoclf.modeling.torch_threads import refuse_after_fork
from videoclf.option_names import option
from videoclf.recipe.recipe import Recipe

if TYPE_CHECKING:
    from videoclf.media.reader import Chunks

_FRAMES_PER_PASS = 128
"""Pictures that go through the network together, until memory runs out: as many as a batch has, if each is one view."""


class GpuEngine:
    """Runs a classifier on one GPU.

    Before the first clip, execution modes are tried: half precision (if the model file allows it) or float32,
    channels-last or contiguous. The first one whose result agrees with the plain network is used; see
    `fastest_sound_backbone`. If memory runs out, half as many frames go through the network at a time from then on.

    Args:
        classifier: in evaluation mode. Its temporal model and head are moved to the device, its backbone is copied.
        recipe: its preprocessing is used.
        device: ``cuda``, ``cuda:1``, ..., or ``cpu`` for tests.
        precision: that the model file allows for the backbone; everything else is computed in float32.
        launching: how per-frame networks are launched.
        notice: called with one line for everything that is done in a slower way; it says why.

    Raises:
        DeviceUnavailableError: this machine has no such device.
        MemoryExhaustedError: the network does not fit.
    """

    def __init__(
        self,
        classifier: VideoClassifier,
        recipe: Recipe,
        device: str = "cuda",
        *,
        precision: Literal["float32", "float16"] = "float32",
        launching: Launching = Launching.EAGER,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.device = find_device(device)
        self._process_id = os.getpid()
        self._recipe, self._notice = recipe, notice
        spec = recipe.preprocess
        try:
            self._backbone, self.mode = fastest_sound_backbone(
                classifier, spec, self.device, execution_modes(precision, launching), notice
            )
            self._classifier = classifier.with_backbone(nn.Identity()).eval().to(self.device)
            # views become pictures of their own, which is free of charge in the other layout only
            self._is_channels_last = self.mode.is_channels_last and len(spec.channels) == 1
            output = Output(
                spec.height, spec.width, spec.channels, spec.mean, spec.std, self.mode.dtype, self._is_channels_last
            )
            self._preparation = Preparation(spec, output, self.device, notice)
        except torch.OutOfMemoryError as error:
            raise MemoryExhaustedError(
                f"has too little memory for the network ({one_line(error)[:200]})",
                source=self.device,
                hint=f"close other programs that use this GPU, or use {option('device', 'cpu')}",
            ) from error
        self._frames_per_pass = _FRAMES_PER_PASS

    @property
    def computes_on(self) -> str:
        """See `Engine`."""
        return f"{describe_device(self.device)}, {self.mode}"

    def preprocess(self, chunks: Chunks) -> PreparedWindow:
        """Start the upload and the preprocessing of one window.

        Raises:
            DeviceUnavailableError: this process was forked from the one that loaded the model.
        """
        refuse_after_fork(self.device, self._process_id)
        return self._preparation(chunks)

    def logits(self, windows: Sequence[PreparedWindow]) -> Float32Array:
        """Compute the logits, ``B×C``, of a batch of windows of any lengths.

        Raises:
            MemoryExhaustedError: memory is too small for a single frame.
            DeviceUnavailableError: as `preprocess`.
        """
        return self._with_less_where_memory_runs_out(lambda: self._logits(windows))

    def features(self, window: PreparedWindow) -> Float32Array:
        """Compute the backbone's features of one window, ``T'×D``."""
        return self._with_less_where_memory_runs_out(lambda: self._encode([window], is_mirrored=False)[0][0])

    def _with_less_where_memory_runs_out(self, run: Callable[[], Tensor]) -> Float32Array:
        refuse_after_fork(self.device, self._process_id)
        while True:
            try:
                with torch.inference_mode(), float32_in_full():
                    result: Float32Array = run().cpu().numpy()
                return result
            except RuntimeError as error:
                if not _is_lack_of_memory(error):
                    raise
                reason = one_line(error)[:200]
            # here, and not above: the exception would hold what the pass has allocated
            self._take_less(reason)

    def _take_less(self, reason: str) -> None:
        if self._frames_per_pass == 1:
            raise MemoryExhaustedError(
                f"out of memory with one frame at a time ({reason})",
                source=self.device,
                hint=f"close other programs that use this GPU, or use {option('device', 'cpu')}",
            )
        self._frames_per_pass //= 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._notice(f"{self.device} ran out of memory: from now on {self._frames_per_pass} frames at a time")

    def _logits(self, windows: Sequence[PreparedWindow]) -> Tensor:
        logits_BC = self._classifier.classify(*self._encode(windows, is_mirrored=False))
        if self._recipe.testing.horizontal_flip:
            logits_BC = (logits_BC + self._classifier.classify(*self._encode(windows, is_mirrored=True))) / 2
        return logits_BC

    def _encode(self, windows: Sequence[PreparedWindow], *, is_mirrored: bool) -> tuple[Tensor, Tensor]:
        """``B×T'×D`` float32 features, and ``B`` steps, on the device."""
        backbone, lengths = self._backbone, [len(window) for window in windows]
        sequences: list[Tensor] = [torch.empty(0)] * len(windows)
        if isinstance(backbone, FrameBackbone):
            frames = self._frames(windows, is_mirrored=is_mirrored)
            features_ND = backbone.encode_frames(
                frames, torch.tensor(lengths), frames_per_pass=self._frames_per_pass
            ).float()
            sequences = list(torch.split(features_ND, lengths))
        else:
            for batch in _batches_alike(lengths, self._frames_per_pass):
                longest = max(lengths[index] for index in batch)
                frames = self._frames([windows[index] for index in batch], longest, is_mirrored=is_mirrored)
                num_frames = torch.tensor([lengths[index] for index in batch], device=self.device)
                features_BTD, _ = backbone(frames.view(len(batch), longest, *frames.shape[1:]), num_frames)
                for index, features_TD in zip(batch, features_BTD.float(), strict=True):
                    sequences[index] = features_TD[: -(-lengths[index] // backbone.temporal_stride)]
        features_BTD, num_steps = pad_sequences(sequences)
        return features_BTD, num_steps.to(self.device, non_blocking=True)

    def _frames(self, windows: Sequence[PreparedWindow], padded_to: int = 0, *, is_mirrored: bool) -> Tensor:
        """``N×3V×H×W``: the windows' frames behind each other, each filled up with zeros to so many."""
        parts: list[Tensor] = []
        for window in windows:
            parts += window.on(self.device)
            if len(window) < padded_to:
                layout = torch.channels_last if self._is_channels_last else torch.contiguous_format
                padding = parts[-1].new_zeros(padded_to - len(window), *parts[-1].shape[1:])
                parts.append(padding.contiguous(memory_format=layout))
        frames = torch.cat(parts)
        return frames.flip(-1) if is_mirrored else frames


def _is_lack_of_memory(error: RuntimeError) -> bool:
    """cuDNN and cuBLAS, which allocate by themselves, say it in their own words."""
    return isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)


def _batches_alike(lengths: Sequence[int], max_frames: int) -> Iterator[list[int]]:
    """Positions of clips that go through a network together, of like length, so that little is computed for padding.

    >>> list(_batches_alike([9, 2, 8, 2], 18))
    [[1, 3], [2, 0]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[index] > max_frames:
            yield batch
            batch = []
        batch.append(index)
    yield batch
