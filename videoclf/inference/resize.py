"""The one preprocessing's resize (`kernels.preprocess_reference`) in NumPy, for engines without torch.

OpenVINO's own takes up to nine times as long, and a second more whenever frames of another size come.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from videoclf.inference.engine import Float32Array
from videoclf.recipe.framing import crop_corner, resized_size, without_far_sides
from videoclf.recipe.recipe import Preprocess

_ROWS_PER_BAND = 16
"""Output rows that are computed together: what they are made of stays in a core's cache, and calls stay few."""


class _Band(NamedTuple):
    """Some rows of the output, and the rows of the input that they are made of."""

    first_row: int
    source: slice
    weights: Float32Array
    """Output rows × input rows."""


def resize_frames(frames_THWC: npt.NDArray[np.uint8], spec: Preprocess) -> Float32Array:
    """Resize (float, bilinear, antialiased), crop, and scale to [0, 1]; each frame by itself.

    Args:
        frames_THWC: ``T×H×W×3`` RGB.
        spec: the recipe's section.

    Returns:
        ``T×3×height×width`` RGB in [0, 1], within 0.004/255 of torch's, which reckons weights in float32.
    """
    looked_at = without_far_sides(frames_THWC, spec)
    num_frames, source_height, source_width = looked_at.shape[:3]
    resized_height, resized_width = resized_size(source_height, source_width, spec)
    top, left = crop_corner(resized_height, resized_width, spec)
    bands = _bands(source_height, resized_height, top, spec.height)
    weights_Ww = _weights(source_width, resized_width, left, spec.width).T / np.float32(255)
    resized = np.empty((num_frames, 3, spec.height, spec.width), np.float32)
    for frame, out in zip(looked_at, resized, strict=True):
        for band in bands:
            num_rows = len(band.weights)
            rows = frame[band.source].reshape(-1, source_width * 3).astype(np.float32)
            planes = (band.weights @ rows).reshape(num_rows, source_width, 3).transpose(2, 0, 1)
            narrow = planes.reshape(3 * num_rows, source_width) @ weights_Ww
            out[:, band.first_row : band.first_row + num_rows] = narrow.reshape(3, num_rows, spec.width)
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
def _bands(source_size: int, resized_size: int, start: int, size: int) -> tuple[_Band, ...]:
    weights = _weights(source_size, resized_size, start, size)
    bands = []
    for first_row in range(0, size, _ROWS_PER_BAND):
        band = weights[first_row : first_row + _ROWS_PER_BAND]
        used = np.flatnonzero(band.any(axis=0))
        source = slice(int(used[0]), int(used[-1]) + 1)
        bands.append(_Band(first_row, source, np.ascontiguousarray(band[:, source])))
    return tuple(bands)
