"""Chooses the execution mode of a backbone on a device: the fastest one whose result is correct there.

Half precision, another memory layout, folded batch norms and recorded graphs use other code of cuDNN, which has been
wrong before on some GPUs and in some versions. So each mode is compared with the plain network, in float32 and
contiguous, on a few synthetic frames, before a model is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from videoclf.errors import one_line
from videoclf.inference.engines.cuda.launching import Launching, launched
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.backbones.protocol import Backbone
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier
from videoclf.recipe.preprocess import Preprocess

TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Allowed error of features, relative to their size (root mean square). Correct ones differ by 1e-6 (sums in another
order), by 0.0005 to 0.001 and by 0.004 to 0.01 (networks with random weights, on a CPU); wrong ones by about 1.
"""

_PROBE_LENGTHS = (5, 3)
"""Frames of the synthetic clips: their lengths differ, so that there is padding."""


@dataclass(frozen=True)
class ExecutionMode:
    """How a backbone computes."""

    dtype: torch.dtype = torch.float32
    is_channels_last: bool = False
    """Whether a pixel's channels are next to each other in memory."""
    is_folded: bool = False
    """Whether batch norms are folded into the convolutions."""
    launching: Launching = Launching.EAGER

    def __str__(self) -> str:
        parts = [str(self.dtype).removeprefix("torch."), "channels-last" if self.is_channels_last else "contiguous"]
        if self.launching is not Launching.EAGER:
            parts.append(self.launching)
        return ", ".join(parts)


def execution_modes(
    precision: Literal["float32", "float16"], launching: Launching = Launching.EAGER
) -> list[ExecutionMode]:
    """The modes to try, fastest first.

    Args:
        precision: the precision that the model file allows.
        launching: how per-frame networks are launched; the same for all modes.
    """
    dtypes = (torch.float16, torch.float32) if precision == "float16" else (torch.float32,)
    return [
        ExecutionMode(dtype, is_last, is_folded=True, launching=launching)
        for dtype in dtypes
        for is_last in (True, False)
    ]


def fastest_sound_backbone(
    classifier: VideoClassifier,
    spec: Preprocess,
    device: torch.device,
    wanted: Sequence[ExecutionMode],
    notice: Callable[[str], None],
) -> tuple[Backbone, ExecutionMode]:
    """A copy of a classifier's backbone on a device, in the first mode whose result is correct there.

    Args:
        classifier: in evaluation mode, with one of our backbones around its network. It is not changed.
        spec: the size of frames.
        device: the device to run on.
        wanted: the modes to try, in order; if all are wrong, the plain one is used.
        notice: called with one line for each refused mode.

    Raises:
        TypeError: the backbone is of another class.
        torch.OutOfMemoryError: the device has too little memory.
    """
    if not isinstance(classifier.backbone, FrameBackbone | ClipBackbone):
        raise TypeError(f"a {type(classifier.backbone).__name__} cannot be used; wrap the network in a FrameBackbone")
    plain = in_mode(classifier, ExecutionMode(), device)
    expected = _probe(plain, ExecutionMode(), spec, device)
    for mode in wanted:
        try:
            tried = in_mode(classifier, mode, device)
            error = _distance(_probe(tried, mode, spec, device), expected)
            complaint = f"off by {error:.1e} of its features' size, more than {TOLERANCES[mode.dtype]:.0e}"
        except torch.OutOfMemoryError:
            raise
        except Exception as failure:
            error, complaint = float("nan"), one_line(failure)[:300]
        if error <= TOLERANCES[mode.dtype]:
            return tried, mode
        notice(f"the network in {mode} is wrong on {device} ({complaint}): this mode is not used")
    return plain, ExecutionMode()


def in_mode(classifier: VideoClassifier, mode: ExecutionMode, device: torch.device) -> Backbone:
    """A copy of a classifier's backbone in an execution mode.

    Raises:
        ValueError: only per-frame networks can be launched otherwise than layer by layer.
    """
    source = (fold_batch_norms(classifier) if mode.is_folded else classifier).backbone
    assert isinstance(source, FrameBackbone | ClipBackbone)  # as the caller has seen
    backbone = copy.deepcopy(source).eval().requires_grad_(False).to(device, mode.dtype)
    backbone.lay_out(is_channels_last=mode.is_channels_last)
    if mode.launching is not Launching.EAGER:
        if isinstance(backbone, ClipBackbone) or backbone.has_temporal_shift:
            raise ValueError(f"launching = {mode.launching}: only for per-frame networks")
        backbone.network = launched(backbone.network, mode.launching)
    return backbone


@contextmanager
def float32_in_full() -> Iterator[None]:
    """A context in which cuDNN computes float32 in full. By default torch lets it round to TF32's ten bits, and a
    clip's scores would depend on whether there is a GPU."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@torch.inference_mode()
def _probe(backbone: Backbone, mode: ExecutionMode, spec: Preprocess, device: torch.device) -> Tensor:
    """``N×D`` features, float32 on the CPU, of made-up clips; those of valid steps only."""
    longest = max(_PROBE_LENGTHS)
    shape = (len(_PROBE_LENGTHS) * longest, 3 * len(spec.channels), spec.height, spec.width)
    frames = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, mode.dtype)
    if mode.is_channels_last:
        frames = frames.contiguous(memory_format=torch.channels_last)
    with float32_in_full():
        features, num_steps = backbone(
            frames.view(-1, longest, *shape[1:]), torch.tensor(_PROBE_LENGTHS, device=device)
        )
    return torch.cat([clip[:length] for clip, length in zip(features.float().cpu(), num_steps.tolist(), strict=True)])


def _distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt().clamp(min=1e-30))
