"""What a packet says of its picture before it is decoded: whether others refer to it, whether decoding recovers there.

Decoders know both and tell neither. Only the first bytes are read; what is not understood counts as referred to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

_READ_BYTES = 16_384
"""Parameter sets and messages stand before the picture; more of them are not looked through."""

_RECOVERY_POINT = 6
"""The type of the message (SEI) that announces it, in H.264 and HEVC."""


@dataclass(frozen=True)
class PictureHeader:
    """Of one packet."""

    is_referred_to: bool = True
    """Whether pictures decoded later may refer to it."""
    gives_a_frame: bool = False
    """Whether it certainly holds a picture of its own that a decoder shows if nothing is wrong."""
    num_recovery_pictures: int | None = None
    """After so many more pictures that are referred to, nothing of before this one shows any longer; None where the
    packet does not say. A picture that is refreshed stripe by stripe has no keyframes, but this."""


UNKNOWN = PictureHeader()


class PictureHeaders:
    """Reads the packets of one stream.

    Args:
        codec_name: FFmpeg's name of the decoder.
        extradata: of the codec; tells how H.264 and HEVC packets are divided.
    """

    def __init__(self, codec_name: str, extradata: bytes | None) -> None:
        extradata = extradata or b""
        self._read = _READERS.get(codec_name)
        self._length_bytes = 0
        """Of the number before each unit; 0 where start codes divide them."""
        length_at = {"h264": 4, "hevc": 21}.get(codec_name, 0)
        if length_at and extradata[:1] == b"\x01" and len(extradata) > length_at:
            self._length_bytes = (extradata[length_at] & 3) + 1

    def of(self, packet: memoryview) -> PictureHeader:
        """What the packet's content says."""
        if self._read is None:
            return UNKNOWN
        return self._read(bytes(packet[:_READ_BYTES]), self._length_bytes)


def _h264(content: bytes, length_bytes: int) -> PictureHeader:
    num_recovery_pictures = None
    for unit in _units(content, length_bytes):
        kind = unit[0] & 0x1F
        if kind == 6:
            num_recovery_pictures = _recovery_count(unit[1:], is_signed=False)
        elif 1 <= kind <= 5:
            return PictureHeader(bool(unit[0] & 0x60), num_recovery_pictures=num_recovery_pictures)
    return UNKNOWN


def _hevc(content: bytes, length_bytes: int) -> PictureHeader:
    num_recovery_pictures = None
    for unit in _units(content, length_bytes):
        kind = unit[0] >> 1 & 0x3F
        if kind == 39:
            num_recovery_pictures = _recovery_count(unit[2:], is_signed=True)
        elif kind < 32:
            is_skipped_leading = kind in {8, 9}  # of an open group of pictures (RASL), where decoding starts with it
            return PictureHeader(kind >= 16 or kind % 2 == 1, not is_skipped_leading, num_recovery_pictures)
    return UNKNOWN


def _mpeg4(content: bytes, _length_bytes: int) -> PictureHeader:
    at = content.find(b"\x00\x00\x01\xb6") + 4
    return PictureHeader(not (4 <= at < len(content) and content[at] >> 6 == 2))


def _mpeg2(content: bytes, _length_bytes: int) -> PictureHeader:
    at = content.find(b"\x00\x00\x01\x00") + 5
    return PictureHeader(not (5 <= at < len(content) and content[at] >> 3 & 7 == 3))


_READERS: dict[str, Callable[[bytes, int], PictureHeader]] = {
    "h264": _h264, "hevc": _hevc, "mpeg4": _mpeg4, "mpeg1video": _mpeg2, "mpeg2video": _mpeg2,
}  # fmt: skip


def _units(content: bytes, length_bytes: int) -> Iterator[bytes]:
    """The units that a packet of H.264 or HEVC consists of; the last may be cut short."""
    at = 0
    while length_bytes and at + length_bytes < len(content):
        begin = at + length_bytes
        at = begin + int.from_bytes(content[at:begin], "big")
        if at == begin:
            return
        yield content[begin:at]
    at = -1 if length_bytes else content.find(b"\x00\x00\x01")
    while at >= 0 and at + 3 < len(content):
        begin = at + 3
        at = content.find(b"\x00\x00\x01", begin)
        yield content[begin : at if at >= 0 else None]


def _recovery_count(messages: bytes, *, is_signed: bool) -> int | None:
    messages = messages.replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    while at + 2 < len(messages):
        kind, at = _summed(messages, at)
        num_bytes, at = _summed(messages, at)
        if kind == _RECOVERY_POINT:
            return _exp_golomb(messages[at : at + num_bytes], is_signed=is_signed)
        at += num_bytes
    return None


def _summed(content: bytes, at: int) -> tuple[int, int]:
    """A number written as bytes to be added up, of which all but the last are 255, and where it ends."""
    number = 0
    while content[at : at + 1] == b"\xff":
        number, at = number + 255, at + 1
    return number + int.from_bytes(content[at : at + 1], "big"), at + 1


def _exp_golomb(content: bytes, *, is_signed: bool) -> int | None:
    """A number in Exp-Golomb code: so many zeros, a one, and as many more digits."""
    bits = bin(int.from_bytes(b"\x01" + content, "big"))[3:]
    num_zeros = len(bits) - len(bits.lstrip("0"))
    digits = bits[num_zeros : 2 * num_zeros + 1]
    if len(digits) != num_zeros + 1:
        return None
    number = int(digits, 2) - 1
    return max(0, (number + 1) // 2 if number % 2 else -number // 2) if is_signed else number
