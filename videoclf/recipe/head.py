"""The head: what turns a clip's vector, and its features, into logits."""

from __future__ import annotations

from pydantic import Field

from videoclf.recipe.section import Section

DEFAULT_RIDGE_SHARE = 0.6
"""On three sets, shares of 0.5 to 0.8 were level (docs/accuracy.md)."""


class Head(Section):
    """The head: what turns a clip's vector, and its features, into logits."""

    ridge: bool = False
    """True: the logits of a ridge classifier (Hoerl and Kennard 1970) are averaged with those of the temporal model. It
    reads the mean, standard deviation and mean absolute change of the backbone's features over the clip, which the
    projection before the GRU cannot keep, and it is computed, not trained by steps: on few clips it is the more
    accurate of the two. Penalty and scale are the most likely ones for training groups that are left out: where it
    knows nothing, its logits are close to zero. The backbone must be frozen."""

    ridge_share: float | None = Field(None, ge=0, le=1)
    """Its share of the average; the rest is that of the temporal model. Unset: chosen by validation, 0.2 to 0.8; 0.6
    unless the validation clips are many or clearly say otherwise."""

    @property
    def first_ridge_share(self) -> float:
        """Its share until one is chosen."""
        return DEFAULT_RIDGE_SHARE if self.ridge_share is None else self.ridge_share

    @property
    def chooses_ridge_share(self) -> bool:
        """Whether validation chooses the share of a ridge."""
        return self.ridge and self.ridge_share is None
