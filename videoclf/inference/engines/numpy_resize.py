"""The resize of preprocessing (`kernels.preprocess_reference`) in NumPy, for engines without torch.

OpenVINO's own takes up to nine times as long, and another second whenever frames have a new size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from videoclf.inference.engines.protocol import Float32Array
from videoclf.recipe.crop_geometry import crop_corner, resized_size, without_far_sides
from videoclf.recipe.preprocess import Preprocess

_ROWS_PER_BAND = 16
"""Rows, of the output or (where it has more) of the input, that are worked on together: they stay in a core's cache,
and calls stay few."""

_MIN_ROWS_PER_BAND = 4
"""Of the output."""

_COLUMNS_PER_BAND = 32
"""Fewer would be more calls, more would be made of pixels that count for few of them."""


class _Band(NamedTuple):
    """Some rows or columns of the output, and those of the input that they are made of."""

    made: slice
    source: slice
    weights: Float32Array
    """Those made × those they are made of."""


def resize_frames(frames_THWC: npt.NDArray[np.uint8], spec: Preprocess) -> Float32Array:
    """Resize (float, bilinear, antialiased), crop, and scale to [0, 1]; each frame separately.

    Args:
        frames_THWC: ``T×H×W×3`` RGB.
        spec: the recipe's section.

    Returns:
        ``T×3×height×width`` RGB in [0, 1], within 0.004/255 of torch's, which computes weights in float32.
    """
    looked_at = without_far_sides(frames_THWC, spec)
    num_frames, source_height, source_width = looked_at.shape[:3]
    resized_height, resized_width = resized_size(source_height, source_width, spec)
    top, left = crop_corner(resized_height, resized_width, spec)
    num_rows = min(_ROWS_PER_BAND, max(_MIN_ROWS_PER_BAND, _ROWS_PER_BAND * resized_height // source_height))
    rows_bands = _bands(source_height, resized_height, top, spec.height, num_rows)
    columns_bands = _bands(source_width, resized_width, left, spec.width, _COLUMNS_PER_BAND, scale=1 / 255)
    resized = np.empty((num_frames, 3, spec.height, spec.width), np.float32)
    planes = np.empty((3, spec.height, source_width), np.float32)
    flat_planes = planes.reshape(-1, source_width)
    for frame, flat_out in zip(looked_at, resized.reshape(num_frames, -1, spec.width), strict=True):
        for made, source, weights in rows_bands:
            rows = frame[source].reshape(-1, source_width * 3).astype(np.float32)
            planes[:, made] = (weights @ rows).reshape(-1, source_width, 3).transpose(2, 0, 1)
        for made, source, weights in columns_bands:
            flat_out[:, made] = flat_planes[:, source] @ weights.T
    return resized


@lru_cache(maxsize=64)
def _weights(source_size: int, resized_size: int, start: int, size: int) -> Float32Array:
    """How much of each input pixel is in each of ``size`` output pixels, the first of which is the one at ``start``."""
    scale = source_size / resized_size
    centres = (np.arange(start, start + size) + 0.5) * scale
    distances = np.abs(np.arange(source_size) + 0.5 - centres[:, None])
    weights = np.maximum(0, 1 - distances / max(1, scale))
    return np.ascontiguousarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


@lru_cache(maxsize=64)
def _bands(
    source_size: int, resized_size: int, start: int, size: int, num_in_band: int, scale: float = 1
) -> tuple[_Band, ...]:
    weights = _weights(source_size, resized_size, start, size) * np.float32(scale)
    bands = []
    for first in range(0, size, num_in_band):
        made = slice(first, min(first + num_in_band, size))
        used = np.flatnonzero(weights[made].any(axis=0))
        source = slice(int(used[0]), int(used[-1]) + 1)
        bands.append(_Band(made, source, np.ascontiguousarray(weights[made, source])))
    return tuple(bands)
