"""Preprocessing: converts decoded frames to the network's input, in float32, with torch's antialiased resize.

Training, evaluation and prediction all call `preprocess_frames` and, when a clip's frames are complete,
`arrange_channels`; training may augment in between. The arithmetic is in `kernels.preprocess_reference`; faster
implementations stay within 1/255 of it before normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from videoclf.kernels import channel_arrangement_reference
from videoclf.kernels.layout import Placement
from videoclf.kernels.preprocess_reference import resize_and_crop
from videoclf.media.frames import RgbFrames
from videoclf.modeling.torch_threads import compute_alone
from videoclf.recipe.crop_geometry import crop_corner, far_sides, resized_size, without_far_sides
from videoclf.recipe.preprocess import Preprocess


def preprocess_window(chunks: Iterator[RgbFrames], spec: Preprocess) -> Tensor:
    """Convert one window of frames, given in chunks, to the network's input.

    Returns:
        ``T×3V×height×width`` float32, normalised; V is the number of entries in the recipe's ``channels``.
    """
    return arrange_channels(resize_window(chunks, spec), spec)


def resize_window(chunks: Iterator[RgbFrames], spec: Preprocess) -> Tensor:
    """The first half of `preprocess_window`, for augmentation in between: ``T×3×height×width`` float32 RGB in [0, 1].
    The second half is `arrange_channels`. Both are for the reader's threads, many of which compute at once."""
    compute_alone()
    return torch.cat([preprocess_frames(torch.from_numpy(chunk.rgb), spec) for chunk in chunks])


def preprocess_frames(frames: Tensor, spec: Preprocess) -> Tensor:
    """Resize (float, bilinear, antialiased), crop, and scale to [0, 1]; each frame separately.

    Args:
        frames: ``T×H×W×3`` uint8 RGB.

    Returns:
        ``T×3×height×width`` float32 RGB in [0, 1].
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise ValueError(f"expected uint8 frames T×H×W×3, got {frames.dtype} {tuple(frames.shape)}")
    looked_at = without_far_sides(frames, spec)
    # one by one they stay in a CPU's caches: half the time at 720p, and the same result to the bit
    return torch.cat([resize_frames(frame, spec) for frame in looked_at.split(1)])


def resize_frames(frames: Tensor, spec: Preprocess) -> Tensor:
    """`preprocess_frames` for frames without far sides."""
    placement = _placed(frames.shape[1], frames.shape[2], (0, 0), spec)
    return resize_and_crop(frames.permute(0, 3, 1, 2), placement, spec.height, spec.width)


def arrange_channels(rgb_T: Tensor, spec: Preprocess) -> Tensor:
    """The network's input for a clip's frames (the recipe's ``channels``), normalised.

    Args:
        rgb_T: ``T×3×h×w`` float32 in [0, 1], one window in time order. The first and the last frame replace their
            missing neighbours.

    Returns:
        ``T×3V×h×w`` float32: V views of three channels each.
    """
    return channel_arrangement_reference.arrange_channels(rgb_T, spec.channels, spec.mean, spec.std)


def place(height: int, width: int, spec: Preprocess) -> Placement:
    """Which part of a frame of this size (in pixels) is resized, to which size, and where the crop begins."""
    cut_top, cut_left = far_sides(height, width, spec)
    return _placed(height - 2 * cut_top, width - 2 * cut_left, (cut_top, cut_left), spec)


def _placed(height: int, width: int, cut: tuple[int, int], spec: Preprocess) -> Placement:
    resized_height, resized_width = resized_size(height, width, spec)
    corner = crop_corner(resized_height, resized_width, spec)
    return Placement(*cut, height, width, resized_height, resized_width, *corner)
