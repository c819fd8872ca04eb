"""Augments clips in training: their frames (all frames of a clip alike) and their speed.

All random numbers come from the ``rng`` that is passed in, so the same state always gives the same result.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from videoclf.recipe.augment import Augment

_GREY = 0.5
"""Of 1, what erased places are painted with: near the mean of most videos, so that batch norms hardly notice."""


class FrameAugmentation:
    """Augments the frames of one clip: crop, RandAugment, colours, erasing, in this order. (torchvision's transforms)

    Every transform draws once per call and treats all frames alike, so it adds no motion or flicker.

    Args:
        spec: the recipe's section; if all of it is off, clips are returned unchanged.
    """

    def __init__(self, spec: Augment) -> None:
        self._crop_scale_min = spec.crop_scale_min
        layers: list[nn.Module] = []
        if spec.rand_augment_ops:
            # its posterising and equalising are defined on bytes; frames of a video lose nothing by it
            layers += [
                v2.ToDtype(torch.uint8, scale=True),
                v2.RandAugment(
                    spec.rand_augment_ops,
                    spec.rand_augment_magnitude,
                    interpolation=v2.InterpolationMode.BILINEAR,
                ),
                v2.ToDtype(torch.float32, scale=True),
            ]
        if spec.brightness or spec.contrast or spec.saturation or spec.hue:
            layers.append(v2.ColorJitter(spec.brightness, spec.contrast, spec.saturation, spec.hue))
        if spec.erasing_probability:
            layers.append(v2.RandomErasing(spec.erasing_probability, value=_GREY))
        self._layers = layers

    def __call__(self, rgb_T: Tensor, rng: np.random.Generator) -> Tensor:
        """Augment one clip.

        Args:
            rgb_T: ``T×3×h×w`` float32 RGB in [0, 1], as `resize_window` returns it; it is not changed.
            rng: one number is drawn from it. The state of torch's own generator is restored, but no other thread may
                draw from it meanwhile.

        Returns:
            The same shape, dtype and range; `arrange_channels` comes after it.
        """
        layers = list(self._layers)
        if self._crop_scale_min < 1:
            layers.insert(0, v2.RandomResizedCrop(rgb_T.shape[2:], scale=(self._crop_scale_min, 1.0), antialias=True))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2**63)))  # torch.manual_seed would seed GPUs too
            for layer in layers:
                rgb_T = layer(rgb_T)
        return rgb_T.clamp(0, 1)


def draw_speed(spec: Augment, rng: np.random.Generator) -> float:
    """Draw the speed of a clip: from 1 / (1 + speed) to 1 + speed, slower as often as faster.

    If the recipe does not change the speed, it is 1.0, and nothing is drawn.
    """
    if not spec.speed:
        return 1.0
    return math.exp(rng.uniform(-1, 1) * math.log1p(spec.speed))


def vary_steps(steps: Tensor, spec: Augment, rng: np.random.Generator) -> Tensor:
    """Apply speed and temporal jitter to steps that were computed once, as behind a frozen backbone.

    At a speed of 1.25, ten steps become eight: the step nearest to the middle of each eighth. Jitter replaces each step
    by the one before or after, with a probability of half of ``temporal_jitter``.

    Args:
        steps: ``T×...``.
        spec: the recipe's section.
        rng: nothing is drawn from it if both are off.

    Returns:
        ``T'×...``, at least one step.
    """
    if spec.speed:
        steps = steps[nearest_steps(len(steps), max(1, round(len(steps) / draw_speed(spec, rng))))]
    if spec.temporal_jitter:
        is_moved_T = rng.random(len(steps)) < spec.temporal_jitter / 2
        moved_T = np.arange(len(steps)) + is_moved_T * rng.choice([-1, 1], len(steps))
        steps = steps[torch.from_numpy(moved_T.clip(0, len(steps) - 1))]
    return steps


def nearest_steps(num_given: int, num_wanted: int) -> Tensor:
    """The nearest given step for each wanted step when a clip is stretched: ``num_wanted`` int64.

    >>> nearest_steps(4, 2).tolist(), nearest_steps(2, 4).tolist()
    ([1, 3], [0, 0, 1, 1])
    """
    return (2 * torch.arange(num_wanted) + 1) * num_given // (2 * num_wanted)
