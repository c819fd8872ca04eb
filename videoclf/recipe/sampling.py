"""Which frames of a clip the network sees."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from videoclf.recipe.section import Section


class Sampling(Section):
    """Which moments of a clip are looked at.

    Moments lie ``1 / fps`` seconds apart, from the first frame to the end: a 3.52 s clip at 8 fps gives 29 of them.
    """

    fps: float = Field(8.0, gt=0, le=240)
    """Moments a second."""

    max_frames: int = Field(64, ge=1, le=1024)
    """Moments in one pass of the network. A clip with more is cut into windows of equal length (70 moments with 64
    allowed: 35 and 35), whose probabilities are averaged; training takes one window at random."""

    order: Literal["time", "shuffled"] = "time"
    """``shuffled`` puts a clip's frames in a random (but fixed) order: the control that shows whether time matters."""
