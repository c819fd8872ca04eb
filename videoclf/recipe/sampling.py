"""Which frames of a clip the network sees."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from videoclf.recipe.section import Section


class Sampling(Section):
    """The sample times of a clip.

    They are ``1 / fps`` seconds apart, from the first frame to the end: a 3.52 s clip at 8 fps has 29.
    """

    fps: float = Field(8.0, gt=0, le=240)
    """Sample times per second."""

    max_frames: int = Field(64, ge=1, le=1024)
    """Maximum number of frames in one pass of the network. A longer clip is cut into windows of equal length (70 frames
    with a maximum of 64: 35 and 35), whose probabilities are averaged; training takes one window at random."""

    order: Literal["time", "shuffled"] = "time"
    """``shuffled`` puts a clip's frames in a random but fixed order: the control experiment that shows whether time
    matters."""
