"""Reads numbers of any number of bits, as video codecs write them."""

from __future__ import annotations


class BitsEndedError(Exception):
    """There are no more bits."""


class Bits:
    """Reads a unit of H.264 or HEVC, without its header, bit by bit.

    Raises:
        BitsEndedError: more bits are requested than there are.
    """

    def __init__(self, content: bytes) -> None:
        content = content.replace(b"\x00\x00\x03", b"\x00\x00")  # codecs put a 3 where two zeros would mean more
        self._digits = bin(int.from_bytes(b"\x01" + content, "big"))[3:]
        self._at = 0

    def take(self, num_bits: int) -> int:
        """Read an unsigned number of ``num_bits`` bits."""
        begin, self._at = self._at, self._at + num_bits
        if self._at > len(self._digits):
            raise BitsEndedError
        return int(self._digits[begin : self._at] or "0", 2)

    def exp_golomb(self) -> int:
        """Read a number in Exp-Golomb code: n zeros, a one, and n more digits."""
        one = self._digits.find("1", self._at)
        if one < 0:
            raise BitsEndedError
        num_zeros = one - self._at
        self._at = one
        return self.take(num_zeros + 1) - 1

    def signed_exp_golomb(self) -> int:
        """Read a signed number in Exp-Golomb code: the codes stand for 0, 1, -1, 2, -2, ..."""
        number = self.exp_golomb()
        return (number + 1) // 2 if number % 2 else -(number // 2)
