"""The one preprocessing: decoded frames to the network's input, in float32, resized as torch does with antialiasing.

Training, evaluation and prediction all call `preprocess_frames` and, once a clip's frames are together,
`arrange_channels`; training may augment in between; anything faster must stay within a stated bound of these two.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from videoclf.media.frames import RgbFrames
from videoclf.recipe.framing import resized_size, without_far_sides
from videoclf.recipe.recipe import Preprocess

_GREY = (0.299, 0.587, 0.114)
"""Luma weights of BT.601."""


def preprocess_window(chunks: Iterator[RgbFrames], spec: Preprocess) -> Tensor:
    """One window of frames, given in chunks, as the network sees it.

    Returns:
        ``T×3V×height×width`` float32, normalised; V is the number of entries in the recipe's ``channels``.
    """
    return arrange_channels(resize_window(chunks, spec), spec)


def resize_window(chunks: Iterator[RgbFrames], spec: Preprocess) -> Tensor:
    """The first half of `preprocess_window`, where augmentation comes in between: ``T×3×height×width`` float32 RGB in
    [0, 1]; `arrange_channels` is the second."""
    return torch.cat([preprocess_frames(torch.from_numpy(chunk.rgb), spec) for chunk in chunks])


def preprocess_frames(frames: Tensor, spec: Preprocess) -> Tensor:
    """Resize (float, bilinear, antialiased), crop, and scale to [0, 1]; each frame by itself.

    Args:
        frames: ``T×H×W×3`` uint8 RGB.

    Returns:
        ``T×3×height×width`` float32 RGB in [0, 1].
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise ValueError(f"expected uint8 frames T×H×W×3, got {frames.dtype} {tuple(frames.shape)}")
    return resize_frames(without_far_sides(frames, spec), spec)


def resize_frames(frames: Tensor, spec: Preprocess) -> Tensor:
    """`preprocess_frames` of frames that have no far sides."""
    height, width = resized_size(frames.shape[1], frames.shape[2], spec)
    planes = frames.permute(0, 3, 1, 2).float()
    planes = interpolate(planes, (height, width), mode="bilinear", antialias=True, align_corners=False)
    top, left = (height - spec.height) // 2, (width - spec.width) // 2
    cropped = planes[:, :, top : top + spec.height, left : left + spec.width] / 255
    return cropped.reshape(-1, 3, spec.height, spec.width)  # tells an exporter the size, which it cannot reckon


def arrange_channels(rgb_T: Tensor, spec: Preprocess) -> Tensor:
    """What the network is to see of a clip's frames (the recipe's ``channels``), normalised.

    Args:
        rgb_T: ``T×3×h×w`` float32 in [0, 1], one window in time order; its first and last frame have no neighbour
            beyond and stand in for it.

    Returns:
        ``T×3V×h×w`` float32: V views of three channels each.
    """
    mean = rgb_T.new_tensor(spec.mean).view(3, 1, 1)
    std = rgb_T.new_tensor(spec.std).view(3, 1, 1)
    view = {"rgb": lambda frames: frames, "moments": _moments, "difference": _difference}
    return torch.cat([(view[name](rgb_T) - mean) / std for name in spec.channels], dim=1)


def _moments(rgb_T: Tensor) -> Tensor:
    """Grey images of the frame before, the frame, and the frame after, as three channels."""
    grey_T1 = (rgb_T * rgb_T.new_tensor(_GREY).view(3, 1, 1)).sum(dim=1, keepdim=True)
    return torch.cat([_before(grey_T1), grey_T1, _after(grey_T1)], dim=1)


def _difference(rgb_T: Tensor) -> Tensor:
    """Half the change from the frame before to the frame after, around 0.5."""
    return 0.5 + (_after(rgb_T) - _before(rgb_T)) / 2


def _before(frames_T: Tensor) -> Tensor:
    return torch.cat([frames_T[:1], frames_T[:-1]])


def _after(frames_T: Tensor) -> Tensor:
    return torch.cat([frames_T[1:], frames_T[-1:]])
