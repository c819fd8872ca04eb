"""Reads from a packet, before decoding, whether other frames refer to its frame and whether decoding recovers there.

Decoders know both but report neither. Only the first bytes are read. A frame whose header is not understood counts as
a reference frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from videoclf.media.bits import Bits, BitsEndedError
from videoclf.media.h264_frame_numbers import FrameNumbers

_READ_BYTES = 16_384
"""Parameter sets and messages stand before the picture; more of them are not looked through."""

_RECOVERY_POINT = 6
"""The type of the message (SEI) that announces it, in H.264 and HEVC."""


@dataclass(frozen=True)
class PictureHeader:
    """The header of one packet's frame."""

    is_referred_to: bool = True
    """Whether frames that are decoded later may refer to it."""
    gives_a_frame: bool = False
    """Whether it certainly contains a frame of its own that a decoder returns if nothing is wrong."""
    is_after_gap: bool = False
    """Whether a reference frame is missing before it."""
    num_recovery_pictures: int | None = None
    """After this many more reference frames, no content from before this frame is visible; None if the packet does not
    say. Streams that refresh frames stripe by stripe have this instead of keyframes."""


UNKNOWN = PictureHeader()


class PictureHeaders:
    """Reads the packets of one stream.

    Args:
        codec_name: FFmpeg's name of the decoder.
        extradata: the codec's extradata, which says how H.264 and HEVC packets are divided.
    """

    def __init__(self, codec_name: str, extradata: bytes | None) -> None:
        extradata = extradata or b""
        self._read = _READERS.get(codec_name)
        self._codec_name = codec_name
        self._frame_numbers = FrameNumbers()
        self._length_bytes = 0
        """Size of the length field before each unit; 0 if units are separated by start codes."""
        length_at = {"h264": 4, "hevc": 21}.get(codec_name, 0)
        if length_at and extradata[:1] == b"\x01" and len(extradata) > length_at:
            self._length_bytes = (extradata[length_at] & 3) + 1
        if codec_name == "h264":
            for unit in _parameter_sets(extradata):
                self._frame_numbers.take_parameter_set(unit)

    def of(self, packet: memoryview) -> PictureHeader:
        """The header of a packet's frame."""
        if self._codec_name == "h264":
            return _h264(bytes(packet[:_READ_BYTES]), self._length_bytes, self._frame_numbers)
        if self._read is None:
            return UNKNOWN
        return self._read(bytes(packet[:_READ_BYTES]), self._length_bytes)


def _h264(content: bytes, length_bytes: int, frame_numbers: FrameNumbers) -> PictureHeader:
    num_recovery_pictures = None
    for unit in _units(content, length_bytes):
        kind = unit[0] & 0x1F
        if kind == 7:
            frame_numbers.take_parameter_set(unit)
        elif kind == 6:
            num_recovery_pictures = _recovery_count(unit[1:], is_signed=False)
        elif 1 <= kind <= 5:
            is_after_gap = frame_numbers.is_after_gap(unit)
            return PictureHeader(bool(unit[0] & 0x60), False, is_after_gap, num_recovery_pictures)
    return UNKNOWN


def _hevc(content: bytes, length_bytes: int) -> PictureHeader:
    num_recovery_pictures = None
    for unit in _units(content, length_bytes):
        kind = unit[0] >> 1 & 0x3F
        if kind == 39:
            num_recovery_pictures = _recovery_count(unit[2:], is_signed=True)
        elif kind < 32:
            is_skipped_leading = kind in {8, 9}  # of an open group of pictures (RASL), where decoding starts with it
            is_referred_to = kind >= 16 or kind % 2 == 1
            return PictureHeader(is_referred_to, not is_skipped_leading, False, num_recovery_pictures)
    return UNKNOWN


def _mpeg4(content: bytes, _length_bytes: int) -> PictureHeader:
    at = content.find(b"\x00\x00\x01\xb6") + 4
    return PictureHeader(not (4 <= at < len(content) and content[at] >> 6 == 2))


def _mpeg2(content: bytes, _length_bytes: int) -> PictureHeader:
    at = content.find(b"\x00\x00\x01\x00") + 5
    return PictureHeader(not (5 <= at < len(content) and content[at] >> 3 & 7 == 3))


_READERS: dict[str, Callable[[bytes, int], PictureHeader]] = {
    "hevc": _hevc, "mpeg4": _mpeg4, "mpeg1video": _mpeg2, "mpeg2video": _mpeg2,
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


def _parameter_sets(extradata: bytes) -> Iterator[bytes]:
    """The sequence parameter sets that H.264 has beside its packets."""
    if extradata[:1] != b"\x01":
        yield from (unit for unit in _units(extradata, 0) if unit[0] & 0x1F == 7)
        return
    at = 6
    for _ in range(extradata[5] & 0x1F if len(extradata) > at else 0):
        begin = at + 2
        at = begin + int.from_bytes(extradata[at:begin], "big")
        if at > begin:
            yield extradata[begin:at]


def _recovery_count(messages: bytes, *, is_signed: bool) -> int | None:
    messages = messages.replace(b"\x00\x00\x03", b"\x00\x00")
    at = 0
    while at + 2 < len(messages):
        kind, at = _summed(messages, at)
        num_bytes, at = _summed(messages, at)
        if kind == _RECOVERY_POINT:
            return _recovery_number(messages[at : at + num_bytes], is_signed=is_signed)
        at += num_bytes
    return None


def _summed(content: bytes, at: int) -> tuple[int, int]:
    """A number written as bytes to be added up, of which all but the last are 255, and where it ends."""
    number = 0
    while content[at : at + 1] == b"\xff":
        number, at = number + 255, at + 1
    return number + int.from_bytes(content[at : at + 1], "big"), at + 1


def _recovery_number(content: bytes, *, is_signed: bool) -> int | None:
    bits = Bits(content)
    try:
        return max(0, bits.signed_exp_golomb()) if is_signed else bits.exp_golomb()
    except BitsEndedError:
        return None
