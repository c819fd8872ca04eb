"""Made-up features, settings and keys that several tests share."""

from __future__ import annotations

import numpy as np

from videoclf.data.feature_entry import ClipFeatures, Float32Array
from videoclf.data.feature_key import FeatureKey, FeatureSettings

SETTINGS = FeatureSettings(
    decoder="pyav",
    decoder_version="av 18",
    picking="exact",
    video_stream=None,
    fps=8.0,
    max_frames=64,
    order="time",
    preprocess="{}",
    backbone='{"name": "tiny"}',
    weights_sha256="ab" * 32,
    engine="torch 2",
    device="cpu",
    precision="float32",
    view="as it is",
)
KEY = FeatureKey("cd" * 32, SETTINGS)


def steps(num_steps: int, num_features: int = 4, seed: int = 0) -> Float32Array:
    """``T×D`` at random."""
    return np.random.default_rng(seed).standard_normal((num_steps, num_features), dtype=np.float32)


FEATURES = ClipFeatures((steps(5), steps(4, seed=1)), num_frames=(10, 8))
"""Two windows."""
