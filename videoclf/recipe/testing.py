"""How a clip is evaluated."""

from __future__ import annotations

from videoclf.recipe.section import Section


class Testing(Section):
    """How a clip is evaluated, in validation, evaluation and prediction alike, besides the windows of
    ``sampling.max_frames``."""

    horizontal_flip: bool = False
    """True: every window is also evaluated mirrored, and the logits are averaged. This takes twice the time."""
