"""How training varies its clips."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from videoclf.recipe.section import Section


class Augment(Section):
    """How training varies its clips; every default changes nothing. Validation and prediction see clips as they are.

    Pictures are varied before the recipe's ``channels`` are made of them, all frames of a clip alike: motion stays what
    it was. (``training.horizontal_flip`` and ``training.min_crop_share`` vary clips too.)
    """

    FIRST_NAMES: ClassVar = {"stored_views": "cached_views"}

    crop_scale_min: float = Field(1.0, gt=0, le=1)
    """A random part of the picture, of at least this share of its area and 3:4 to 4:3 of its aspect, is enlarged to the
    whole (Szegedy et al. 2015); 1 turns it off."""

    brightness: float = Field(0.0, ge=0, le=1)
    """Colours are multiplied by up to so much more or less than 1: 0.4 means 0.6 to 1.4."""

    contrast: float = Field(0.0, ge=0, le=1)
    """The same for the distance of each colour from the frame's mean grey."""

    saturation: float = Field(0.0, ge=0, le=1)
    """The same for its distance from its own grey."""

    hue: float = Field(0.0, ge=0, le=0.5)
    """Hues are turned by up to this share of the colour circle, either way."""

    rand_augment_ops: int = Field(0, ge=0, le=10)
    """Operations of RandAugment (Cubuk et al. 2020) that a clip goes through, one after the other; 0 turns it off."""

    rand_augment_magnitude: int = Field(9, ge=0, le=30)
    """How strong these are, of 30."""

    erasing_probability: float = Field(0.0, ge=0, le=1)
    """How often a rectangle of 2 to 33 % of the picture is painted grey (Zhong et al. 2020)."""

    speed: float = Field(0.0, ge=0, le=3)
    """The clip is played up to so much faster or slower: 0.25 means 0.8 to 1.25 times as fast."""

    cached_views: int = Field(4, ge=1, le=64, serialization_alias="stored_views")
    """Behind a frozen backbone, whose features are computed once: how many versions with varied pictures are kept of
    every clip, beside the clip as it is; each costs as much time and space again."""

    temporal_jitter: float = Field(0.0, ge=0, le=1)
    """Each moment is moved by up to this share of half a step, either way; at 1 it may come half-way to its neighbour.
    Features that were computed once cannot move: with half this probability one is replaced by a neighbour's."""

    mixup_alpha: float = Field(0.0, ge=0, le=100)
    """Each clip is mixed with another of its batch, λ to 1 - λ with λ from Beta(alpha, alpha), and so are their labels
    (Zhang et al. 2018); 0 turns it off. The other clip is stretched to the length of the first."""

    cutmix_alpha: float = Field(0.0, ge=0, le=100)
    """A rectangle of all frames (of features: a run of steps), 1 - λ of the whole, is replaced by another clip's, and
    labels are mixed by what is left (Yun et al. 2019); 0 turns it off. With both, each batch gets one of the two."""

    @property
    def varies_pictures(self) -> bool:
        """Whether a clip's frames change, before it meets others."""
        changes = (self.brightness, self.contrast, self.saturation, self.hue, self.rand_augment_ops)
        return self.crop_scale_min < 1 or any(changes) or self.erasing_probability > 0

    @property
    def of_pictures(self) -> Augment:
        """All that does not change a clip's frames at its default: equal where pictures are varied alike."""
        return Augment.model_validate(self.model_dump(include=_PICTURE_KEYS))

    @property
    def mixes_clips(self) -> bool:
        """Whether the clips of a batch are mixed."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    @property
    def varies_time(self) -> bool:
        """Whether the moments change that a clip is looked at."""
        return self.speed > 0 or self.temporal_jitter > 0


_PICTURE_KEYS = {
    "crop_scale_min", "brightness", "contrast", "saturation", "hue", "rand_augment_ops", "rand_augment_magnitude",
    "erasing_probability",
}  # fmt: skip
