"""What a backbone is to the rest of a model."""

from __future__ import annotations

from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone

Backbone = FrameBackbone | ClipBackbone
"""What a user's own network is wrapped in to become part of a model."""
