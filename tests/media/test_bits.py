"""Bits are read as codecs write them."""

from __future__ import annotations

import pytest

from videoclf.media.bits import Bits, BitsEndedError


def test_numbers_of_so_many_bits_follow_each_other() -> None:
    bits = Bits(b"\xa5\x0f")
    assert [bits.take(num_bits) for num_bits in (1, 3, 0, 8, 4)] == [1, 2, 0, 0x50, 15]


def test_exp_golomb_numbers_are_as_long_as_they_say() -> None:
    bits = Bits(int("101001100100001010001000", 2).to_bytes(3, "big"))
    assert [bits.exp_golomb() for _ in range(6)] == [0, 1, 2, 3, 4, 7]


def test_signed_ones_take_turns() -> None:
    bits = Bits(int("101001100100001010000000", 2).to_bytes(3, "big"))
    assert [bits.signed_exp_golomb() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_a_byte_that_is_there_against_start_codes_is_no_content() -> None:
    bits = Bits(b"\x00\x00\x03\x01")
    assert bits.take(24) == 1


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x01"])
def test_what_ends_too_early_is_told(content: bytes) -> None:
    with pytest.raises(BitsEndedError):
        Bits(content).exp_golomb()
