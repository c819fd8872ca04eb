"""Finds reference frames that are missing from an H.264 stream: such frames are numbered.

FFmpeg's decoder substitutes a copy of another frame for a missing one, and does not report it.
"""

from __future__ import annotations

from dataclasses import dataclass

from videoclf.media.bits import Bits, BitsEndedError

_HAS_CHROMA_FORMAT = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
"""Profiles whose parameter sets say more than the first ones did."""


@dataclass(frozen=True)
class _Layout:
    """Of a slice's beginning."""

    num_bits: int | None
    """Of a frame number; None where numbers may be left out."""
    has_separate_planes: bool
    """A slice says which plane it belongs to."""


class FrameNumbers:
    """Compares the frame numbers of consecutive packets."""

    def __init__(self) -> None:
        self._layouts: dict[int, _Layout] = {}
        """Layouts by the number of their parameter set."""
        self._layout: _Layout | None = None
        """The layout that all have in common. None if they differ: only a picture parameter set says which one a slice
        uses."""
        self._last: int | None = None

    def take_parameter_set(self, unit: bytes) -> None:
        """Use a new sequence parameter set; the unit begins with its header."""
        try:
            set_number, layout = _read_parameter_set(Bits(unit[1:]))
        except BitsEndedError:
            return
        self._layouts[set_number] = layout
        self._layout = layout if len(set(self._layouts.values())) == 1 else None

    def is_after_gap(self, slice_unit: bytes) -> bool:
        """Whether frames are missing between the frame with this first slice and the frame before."""
        kind, is_referred_to = slice_unit[0] & 0x1F, bool(slice_unit[0] & 0x60)
        layout = self._layout
        if layout is None or layout.num_bits is None:
            return False
        try:
            bits = Bits(slice_unit[1:24])  # some 60 bits in all
            for _ in range(3):  # place of the slice, its type, its picture parameter set
                bits.exp_golomb()
            bits.take(2 * layout.has_separate_planes)
            number = bits.take(layout.num_bits)
        except BitsEndedError:
            return False
        modulus = 1 << layout.num_bits
        follows = kind == 5 or self._last is None or number in {self._last, (self._last + 1) % modulus}
        if is_referred_to or not follows:
            self._last = number
        return not follows


def _read_parameter_set(bits: Bits) -> tuple[int, _Layout]:
    """Its own number, and what it says of slices."""
    profile = bits.take(24) >> 16
    set_number = bits.exp_golomb()
    has_separate_planes = False
    if profile in _HAS_CHROMA_FORMAT:
        chroma_format = bits.exp_golomb()
        has_separate_planes = chroma_format == 3 and bool(bits.take(1))
        bits.exp_golomb()  # bit depths
        bits.exp_golomb()
        bits.take(1)
        if bits.take(1):
            _skip_scaling_lists(bits, 12 if chroma_format == 3 else 8)
    num_bits = bits.exp_golomb() + 4
    _skip_order_counts(bits)
    bits.exp_golomb()  # number of reference frames
    allows_gaps = bool(bits.take(1))
    return set_number, _Layout(None if allows_gaps or num_bits > 16 else num_bits, has_separate_planes)


def _skip_scaling_lists(bits: Bits, num_lists: int) -> None:
    for index in range(num_lists):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed_exp_golomb()) % 256
            last = following or last


def _skip_order_counts(bits: Bits) -> None:
    kind = bits.exp_golomb()
    if kind == 0:
        bits.exp_golomb()
    elif kind == 1:
        bits.take(1)
        bits.exp_golomb()
        bits.exp_golomb()
        for _ in range(min(255, bits.exp_golomb())):
            bits.exp_golomb()
