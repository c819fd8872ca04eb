"""In which manner a backbone computes on a device: the fastest one whose result is right there.

Half precision, another memory layout, folded batch norms and recorded graphs all take other code of cuDNN's, and that
has been wrong before, on some GPUs and in some versions. So each is compared with the plain network, in float32 and
contiguous, on a few made-up frames, before a model is used.
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
"""How far features may be off, as a share of their own size (root mean square). Right ones are off by 1e-6 (sums in
another order), by 0.0005 to 0.001 and by 0.004 to 0.01 (networks with random weights, on a CPU); wrong ones by about 1.
"""

_PROBE_LENGTHS = (5, 3)
"""Frames of the made-up clips: of unlike length, so that there is padding."""


@dataclass(frozen=True)
class Manner:
    """How a backbone computes."""

    dtype: torch.dtype = torch.float32
    is_channels_last: bool = False
    """Whether memory holds a pixel's channels together."""
    is_folded: bool = False
    """Whether batch norms are part of the convolutions."""
    launching: Launching = Launching.EAGER

    def __str__(self) -> str:
        parts = [str(self.dtype).removeprefix("torch."), "channels-last" if self.is_channels_last else "contiguous"]
        if self.launching is not Launching.EAGER:
            parts.append(self.launching)
        return ", ".join(parts)


def manners(precision: Literal["float32", "float16"], launching: Launching = Launching.EAGER) -> list[Manner]:
    """What to try, fastest first.

    Args:
        precision: of the model file: what its maker allows.
        launching: of per-frame networks; nothing else is tried first.
    """
    dtypes = (torch.float16, torch.float32) if precision == "float16" else (torch.float32,)
    return [
        Manner(dtype, is_last, is_folded=True, launching=launching) for dtype in dtypes for is_last in (True, False)
    ]


def fastest_sound_backbone(
    classifier: VideoClassifier,
    spec: Preprocess,
    device: torch.device,
    wanted: Sequence[Manner],
    notice: Callable[[str], None],
) -> tuple[Backbone, Manner]:
    """A classifier's backbone on a device, in the first manner that is right there.

    Args:
        classifier: in evaluation mode, with a backbone of ours around its network; is left as it is.
        spec: says what frames look like.
        device: where it is to run.
        wanted: what to try, in order; where all are wrong it is the plain one.
        notice: is told, in a line each, what was refused.

    Raises:
        TypeError: another backbone.
        torch.OutOfMemoryError: the device has no room for it.
    """
    if not isinstance(classifier.backbone, FrameBackbone | ClipBackbone):
        raise TypeError(f"a {type(classifier.backbone).__name__} cannot be used; wrap the network in a FrameBackbone")
    plain = in_manner(classifier, Manner(), device)
    expected = _probe(plain, Manner(), spec, device)
    for manner in wanted:
        try:
            tried = in_manner(classifier, manner, device)
            error = _distance(_probe(tried, manner, spec, device), expected)
            complaint = f"off by {error:.1e} of its features' size, more than {TOLERANCES[manner.dtype]:.0e}"
        except torch.OutOfMemoryError:
            raise
        except Exception as failure:
            error, complaint = float("nan"), one_line(failure)[:300]
        if error <= TOLERANCES[manner.dtype]:
            return tried, manner
        notice(f"the network in {manner} is wrong on {device} ({complaint}): it is not run so")
    return plain, Manner()


def in_manner(classifier: VideoClassifier, manner: Manner, device: torch.device) -> Backbone:
    """A copy of a classifier's backbone that computes so.

    Raises:
        ValueError: only networks that see one frame at a time can be started otherwise than layer by layer.
    """
    source = (fold_batch_norms(classifier) if manner.is_folded else classifier).backbone
    assert isinstance(source, FrameBackbone | ClipBackbone)  # as the caller has seen
    backbone = copy.deepcopy(source).eval().requires_grad_(False).to(device, manner.dtype)
    backbone.lay_out(is_channels_last=manner.is_channels_last)
    if manner.launching is not Launching.EAGER:
        if isinstance(backbone, ClipBackbone) or backbone.has_temporal_shift:
            raise ValueError(f"launching = {manner.launching}: for networks that see one frame at a time only")
        backbone.network = launched(backbone.network, manner.launching)
    return backbone


@contextmanager
def float32_in_full() -> Iterator[None]:
    """Within it, cuDNN computes float32 as float32. By itself torch lets it round to TF32's ten bits, and a clip's
    scores would depend on whether there is a GPU."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@torch.inference_mode()
def _probe(backbone: Backbone, manner: Manner, spec: Preprocess, device: torch.device) -> Tensor:
    """``N×D`` features, float32 on the CPU, of made-up clips; those of valid steps only."""
    longest = max(_PROBE_LENGTHS)
    shape = (len(_PROBE_LENGTHS) * longest, 3 * len(spec.channels), spec.height, spec.width)
    frames = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, manner.dtype)
    if manner.is_channels_last:
        frames = frames.contiguous(memory_format=torch.channels_last)
    with float32_in_full():
        features, num_steps = backbone(
            frames.view(-1, longest, *shape[1:]), torch.tensor(_PROBE_LENGTHS, device=device)
        )
    return torch.cat([clip[:length] for clip, length in zip(features.float().cpu(), num_steps.tolist(), strict=True)])


def _distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt().clamp(min=1e-30))
