"""What is looked at when a clip is evaluated."""

from __future__ import annotations

from videoclf.recipe.section import Section


class Testing(Section):
    """What is looked at when a clip is judged, in validation, evaluation and prediction alike, beside the windows that
    ``sampling.max_frames`` cuts a long clip into."""

    horizontal_flip: bool = False
    """True: every window is looked at mirrored too, and the logits are averaged. Takes twice the time."""
