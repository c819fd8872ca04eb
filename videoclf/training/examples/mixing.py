"""Mixup and CutMix of the clips of a batch: combines frames or features of two clips, and their labels by shares.

Dimensions in names: B clips, T steps, C classes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from videoclf.recipe.augment import Augment
from videoclf.training.examples.augmentation import nearest_steps


def mix_clips(
    steps: Tensor, num_steps: Tensor, truth_BC: Tensor, spec: Augment, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each clip of a batch with another one, in one of the two ways (chosen with equal probability if both are on).

    A clip keeps its length: its partner is stretched to it (`nearest_steps`), so all of the partner is used and none of
    its padding; values beyond the clip stay zero.

    Args:
        steps: ``B×T×...`` frames (``3V×H×W``) or features (``D``), as `pad_sequences` returns them.
        num_steps: ``B`` int64.
        truth_BC: ``B×C`` float, the share of each class.
        spec: the recipe's section.
        rng: nothing is drawn from it if both are off.

    Returns:
        Mixed steps and shares, of the same shapes; the given ones if both are off.
    """
    if not spec.mixes_clips:
        return steps, truth_BC
    is_mixup = spec.mixup_alpha > 0 and (spec.cutmix_alpha == 0 or rng.random() < 0.5)
    alpha = spec.mixup_alpha if is_mixup else spec.cutmix_alpha
    share = float(rng.beta(alpha, alpha))
    partner_B = torch.from_numpy(rng.permutation(len(steps)))
    others = _stretched(steps[partner_B], num_steps[partner_B], num_steps)
    if is_mixup:
        return share * steps + (1 - share) * others, share * truth_BC + (1 - share) * truth_BC[partner_B]
    mixed, kept_B1 = (
        _cut_frames(steps, others, share, rng) if steps.ndim == 5 else _cut_steps(steps, others, num_steps, share, rng)
    )
    return mixed, kept_B1 * truth_BC + (1 - kept_B1) * truth_BC[partner_B]


def _stretched(steps: Tensor, num_given: Tensor, num_wanted: Tensor) -> Tensor:
    """Each clip's steps at another length, zeros beyond it."""
    stretched = torch.zeros_like(steps)
    for clip, given, wanted in zip(range(len(steps)), num_given.tolist(), num_wanted.tolist(), strict=True):
        stretched[clip, :wanted] = steps[clip, nearest_steps(given, wanted)]
    return stretched


def _cut_frames(steps: Tensor, others: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One rectangle for all frames of all clips, as large as a share of 1 - ``share``, its middle anywhere; what of it
    lies outside the picture is not cut. Gives the share that is kept, ``B×1``."""
    height, width = steps.shape[3:]
    half_side = math.sqrt(1 - share) / 2
    middle_y, middle_x = rng.random(2)
    top, bottom = (round(height * min(1, max(0, middle_y + side))) for side in (-half_side, half_side))
    left, right = (round(width * min(1, max(0, middle_x + side))) for side in (-half_side, half_side))
    mixed = steps.clone()
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, torch.full((len(steps), 1), kept)


def _cut_steps(
    steps: Tensor, others: Tensor, num_steps: Tensor, share: float, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Features have no places: of each clip a run of steps, a share of 1 - ``share`` of its own, is replaced."""
    mixed = steps.clone()
    kept_B1 = torch.ones(len(steps), 1)
    for clip, length in enumerate(num_steps.tolist()):
        num_cut = round((1 - share) * length)
        start = int(rng.integers(length - num_cut + 1))
        mixed[clip, start : start + num_cut] = others[clip, start : start + num_cut]
        kept_B1[clip] = 1 - num_cut / length
    return mixed, kept_B1
