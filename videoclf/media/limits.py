"""What a stranger's video may ask of this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds checked while a file is probed and decoded; beyond them it is refused."""

    max_pixels_per_frame: int = 8192 * 8192
    """201 MB of RGB: above any camera's 8K, below what a forged header can claim."""

    max_streams: int = 100
    """Sound, subtitles and data included; the demuxer allocates for each."""

    max_duration_seconds: float = 24 * 3600.0
    """A day; a file that claims more is damaged or hostile."""

    max_seconds_per_frame: float = 600.0
    """On average over the video; a file that shows fewer frames is no video, but would cost as much as one."""

    max_decode_seconds: float = 3600.0
    """Spent in the codec on one video, the consumer's own time not counted; checked between packets."""

    max_stall_seconds: float = 60.0
    """For one step of an isolated decoder: opening a file, or coming to the next frame wanted. A child that takes
    longer is ended."""

    max_memory_bytes: int = 4 << 30
    """What decoding one video may hold: estimated from its frame size before decoding, enforced by the operating
    system in an isolated decoder."""


DEFAULT_LIMITS = Limits()
