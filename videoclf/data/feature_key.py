"""Everything that the features of a clip's view depend on, so that wrong features are never returned."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

FORMAT_VERSION = 6
"""Version of a cache's contents. Raise it whenever other features, or other bytes, would be stored under the same
settings: a change to frame selection, preprocessing or encoding, or to the layout of a file."""


@dataclass(frozen=True)
class FeatureSettings:
    """Everything except the clip itself. (Limits and isolation decide whether there are frames, not which.)"""

    decoder: str
    """``pyav``, ``opencv``, ...: all select the same frames, but their pixels may differ in the last bit."""
    decoder_version: str
    """Versions of the decoder and its libraries."""
    picking: str
    """``exact`` or ``fast``."""
    video_stream: int | None
    """Number of the video stream; None: the one that a player would show."""
    fps: float
    """Sample times per second."""
    max_frames: int
    """Maximum number of frames in a window."""
    order: str
    """``time`` or ``shuffled``."""
    preprocess: str
    """The recipe's section, including channels, as JSON."""
    backbone: str
    """The recipe's section, without the keys about its training, as JSON."""
    weights_sha256: str
    """SHA-256 of the backbone's weights."""
    engine: str
    """The inference backend with versions: ``torch 2.15.0, torchvision 0.29.2``."""
    device: str
    """``cpu`` or ``cuda``: they round differently, and a run must not depend on which of them filled the cache."""
    precision: str
    """Precision of the computation: ``float32``."""
    view: str
    """The view of each window: ``as it is``, ``mirrored``, or augmented with the parameters of the augmentation."""

    @cached_property
    def canonical(self) -> str:
        """The settings as JSON; equal settings give the same text."""
        return json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}, sort_keys=True)


@dataclass(frozen=True)
class FeatureKey:
    """Identifies the features of one view of a clip under some settings."""

    content_sha256: str
    """SHA-256 of the video file, so that a moved or copied file is recognized, and a changed one is not."""
    settings: FeatureSettings
    name: str = ""
    """The file's name if the features depend on it (frames are shuffled by it), otherwise empty."""

    @cached_property
    def digest(self) -> str:
        """The key's hash: 64 hexadecimal digits."""
        text = json.dumps([self.content_sha256, self.name, self.settings.canonical])
        return hashlib.sha256(text.encode()).hexdigest()
