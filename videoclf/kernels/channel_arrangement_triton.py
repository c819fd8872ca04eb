"""Device code of channel arrangement, inlined by `preprocess_triton`. Only modules that know that Triton is installed
import this one."""

import triton
import triton.language as tl

from videoclf.kernels import channel_arrangement_reference

_RED, _GREEN, _BLUE = (tl.constexpr(share) for share in channel_arrangement_reference.GREY)


@triton.jit
def _grey(red, green, blue):
    return red * _RED + green * _GREEN + blue * _BLUE


@triton.jit
def _store_view(
    at, channel_stride, is_stored, first, second, third,
    scale0, scale1, scale2, shift0, shift1, shift2,
):  # fmt: skip
    """Three channels of a view, normalised: ``value * scale + shift``."""
    tl.store(at, first * scale0 + shift0, mask=is_stored)
    tl.store(at + channel_stride, second * scale1 + shift1, mask=is_stored)
    tl.store(at + 2 * channel_stride, third * scale2 + shift2, mask=is_stored)


@triton.jit
def store_channels(
    at, channel_stride, is_stored, has_before, has_after,
    red_before, green_before, blue_before,
    red, green, blue,
    red_after, green_after, blue_after,
    scale0, scale1, scale2, shift0, shift1, shift2,
    RGB_AT: tl.constexpr, GRAY_TRIPLET_AT: tl.constexpr, DIFFERENCE_AT: tl.constexpr,
):  # fmt: skip
    """What `channel_arrangement_reference.arrange_channels` does, for a tile of one frame in registers. The position of
    a view is -1 if it is not wanted. A clip's first and last frame replace the neighbour that they lack."""
    if RGB_AT >= 0:
        _store_view(
            at + 3 * RGB_AT * channel_stride, channel_stride, is_stored, red, green, blue,
            scale0, scale1, scale2, shift0, shift1, shift2,
        )  # fmt: skip
    if GRAY_TRIPLET_AT >= 0 or DIFFERENCE_AT >= 0:
        red_before = tl.where(has_before, red_before, red)
        green_before = tl.where(has_before, green_before, green)
        blue_before = tl.where(has_before, blue_before, blue)
        red_after = tl.where(has_after, red_after, red)
        green_after = tl.where(has_after, green_after, green)
        blue_after = tl.where(has_after, blue_after, blue)
    if GRAY_TRIPLET_AT >= 0:
        _store_view(
            at + 3 * GRAY_TRIPLET_AT * channel_stride, channel_stride, is_stored,
            _grey(red_before, green_before, blue_before), _grey(red, green, blue),
            _grey(red_after, green_after, blue_after), scale0, scale1, scale2, shift0, shift1, shift2,
        )  # fmt: skip
    if DIFFERENCE_AT >= 0:
        _store_view(
            at + 3 * DIFFERENCE_AT * channel_stride, channel_stride, is_stored,
            127.5 + (red_after - red_before) * 0.5, 127.5 + (green_after - green_before) * 0.5,
            127.5 + (blue_after - blue_before) * 0.5, scale0, scale1, scale2, shift0, shift1, shift2,
        )  # fmt: skip
