"""What a stranger's video may ask of this machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds checked while a file is probed and decoded; beyond them it is refused."""

    max_pixels_per_frame: int = 8192 * 8192
    """201 MB of RGB: above any camera's 8K, below what a forged header can claim."""

    max_duration_seconds: float = 24 * 3600.0
    """A day; a file that claims more is damaged or hostile."""


DEFAULT_LIMITS = Limits()
