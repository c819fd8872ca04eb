"""What the features of a clip's view depend on: all of it, so that features are never served for what they are not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

FORMAT_VERSION = 6
"""Of what a cache holds. Raise it whenever other features, or other bytes, would be stored under the same settings: a
change to picking, preprocessing or encoding, or to the layout of a file."""


@dataclass(frozen=True)
class FeatureSettings:
    """Everything but the clip itself. (Limits and isolation decide whether there are frames, not which.)"""

    decoder: str
    """``pyav``, ``opencv``, ...; all pick the same frames, their pixels may differ in the last bit."""
    decoder_version: str
    """Of the decoder and the libraries below it."""
    picking: str
    """``exact`` or ``fast``."""
    video_stream: int | None
    """Of a file with several, which; None: the one a player would show."""
    fps: float
    """Moments a second."""
    max_frames: int
    """Moments in a window, at most."""
    order: str
    """``time`` or ``shuffled``."""
    preprocess: str
    """The recipe's section, channels among it, as JSON."""
    backbone: str
    """The recipe's section, but for what says how it is trained, as JSON."""
    weights_sha256: str
    """Of the backbone's weights."""
    engine: str
    """Who computes, with versions: ``torch 2.15.0, torchvision 0.29.2``."""
    device: str
    """``cpu`` or ``cuda``: they round differently, and a run must not depend on who filled the cache."""
    precision: str
    """Of the computation: ``float32``."""
    view: str
    """As what each window was seen: ``as it is``, ``mirrored``, or augmented; then it tells how."""

    @cached_property
    def canonical(self) -> str:
        """As JSON, the same text for equal settings."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True)


@dataclass(frozen=True)
class FeatureKey:
    """Names the features of one view of a clip under some settings."""

    content_sha256: str
    """Of the video file, so that a file that was moved or copied is known again, and one that was changed is not."""
    settings: FeatureSettings
    name: str = ""
    """The file's name where the features depend on it (frames are shuffled by it), else empty."""

    @cached_property
    def digest(self) -> str:
        """64 hexadecimal digits."""
        text = json.dumps([self.content_sha256, self.name, self.settings.canonical])
        return hashlib.sha256(text.encode()).hexdigest()
