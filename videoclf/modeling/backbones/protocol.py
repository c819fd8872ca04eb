"""The type of a backbone for the rest of a model."""

from __future__ import annotations

from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone

Backbone = FrameBackbone | ClipBackbone
"""The wrappers that make a network part of a model."""
