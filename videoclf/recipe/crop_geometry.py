"""Computes which part of a frame is used, and to which size it is resized: arithmetic, without torch.

It uses integers and no branches, so that an exporter can follow it for frames of any size, and float32 cannot round
differently from float64.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from videoclf.recipe.preprocess import Preprocess

_MAX_ASPECT_EXCESS = 16
"""Frames more than so many times wider or higher than the crop's shape lose their far sides before the resize."""


def without_far_sides(frames: Any, spec: Preprocess) -> Any:
    """The middle of frames that are extremely wide or high. The rest would be enlarged at great cost, and then cut off.

    Args:
        frames: ``T×H×W×3``, an array or a tensor.
        spec: the recipe's section.
    """
    height, width = frames.shape[1:3]
    top, left = far_sides(height, width, spec)
    return frames[:, top : height - top, left : width - left]


def far_sides(height: int, width: int, spec: Preprocess) -> tuple[int, int]:
    """The number of rows at the top (and bottom), and of columns at the left (and right), of a frame of this size that
    are not used."""
    if spec.fit == "stretch":
        return 0, 0
    max_height = _MAX_ASPECT_EXCESS * -(-width * spec.height // spec.width)
    max_width = _MAX_ASPECT_EXCESS * -(-height * spec.width // spec.height)
    return max(0, height - max_height) // 2, max(0, width - max_width) // 2


def resized_size(height: Any, width: Any, spec: Preprocess) -> tuple[Any, Any]:
    """The rows and columns to which a frame is resized, before the centre is cut out.

    Args:
        height: an integer, or an exporter's symbol for one.
        width: the same.
        spec: the recipe's section.

    >>> resized_size(240, 320, Preprocess(height=112, width=112, crop_margin=1.143))
    (128, 171)
    """
    if spec.fit == "stretch":
        return spec.height, spec.width
    margin = Fraction(spec.crop_margin).limit_denominator(10_000)
    covering = _larger(spec.height * width, spec.width * height) * margin.numerator
    return _divided(covering, width * margin.denominator), _divided(covering, height * margin.denominator)


def crop_corner(resized_height: int, resized_width: int, spec: Preprocess) -> tuple[int, int]:
    """The row and column of the resized frame at which the crop begins."""
    return (resized_height - spec.height) // 2, (resized_width - spec.width) // 2


def _larger(a: Any, b: Any) -> Any:
    return (a + b + abs(a - b)) // 2


def _divided(a: Any, b: Any) -> Any:
    """a / b, rounded to the nearest, ties to the even one, as Python rounds; both positive."""
    up, down = (2 * a + b) // (2 * b), (2 * a + b - 1) // (2 * b)
    return up - (up % 2) * (up - down)
