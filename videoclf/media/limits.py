"""Limits on the resources that an untrusted video may use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from videoclf.errors import UsageInvalidError
from videoclf.option_names import option


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked while a file is probed and decoded. A file beyond them is refused."""

    max_pixels_per_frame: int = 8192 * 8192
    """201 MB of RGB: above any camera's 8K, below what a forged header can claim."""

    max_streams: int = 100
    """Includes audio, subtitles and data; the demuxer allocates for each."""

    max_packets: int = 10_000_000
    """Of the video stream; a day of 60 frames a second has 5 million. The demuxer's own index is built before they can
    be counted: only an isolated decoder's memory is bounded there."""

    max_duration_seconds: float = 24 * 3600.0
    """A day; a file that claims more is damaged or hostile."""

    max_seconds_per_frame: float = 600.0
    """On average over the video. A file with fewer frames is not a video, but would cost as much as one."""

    max_decode_seconds: float = 3600.0
    """Time in the codec for one video, without the consumer's own time; checked between packets."""

    max_stall_seconds: float = 60.0
    """For one step of an isolated decoder: opening a file, or decoding up to the next wanted frame. A child process
    that takes longer is ended."""

    max_memory_bytes: int = 4 << 30
    """Memory for decoding one video: estimated from its frame size before decoding, and enforced by the operating
    system in an isolated decoder."""


DEFAULT_LIMITS = Limits()

_LARGEST = {"max_pixels_per_frame": 2**40, "max_memory_bytes": 2**60}
_LARGEST_OF_OTHERS = 2_000_000_000
"""FFmpeg and the operating system count in integers of their own."""


def limits_with(changes: Iterable[str]) -> Limits:
    """The default limits, with changes.

    >>> limits_with(["max_duration_seconds=60"]).max_duration_seconds
    60.0

    Args:
        changes: ``NAME=VALUE``.

    Raises:
        UsageInvalidError: there is no such limit, or the value is not a number above 0.
    """
    limits = DEFAULT_LIMITS
    known = [field.name for field in fields(Limits)]
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known:
            raise UsageInvalidError(
                "there is no such limit", source=option("limit", change), hint=f"available: {', '.join(known)}"
            )
        kind = type(getattr(limits, name))
        try:
            value = kind(float(text))
        except (ValueError, OverflowError):
            value = 0
        if not 0 < value <= _LARGEST.get(name, _LARGEST_OF_OTHERS):
            largest = _LARGEST.get(name, _LARGEST_OF_OTHERS)
            raise UsageInvalidError(
                f"expected {name}=NUMBER, above 0 and up to {largest:,}", source=option("limit", change)
            )
        limits = replace(limits, **{name: value})
    return limits
