"""How training augments its clips."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from videoclf.recipe.section import Section


class Augment(Section):
    """How training augments its clips. The defaults change nothing. Validation and prediction see clips as they are.

    Frames are augmented before the recipe's ``channels`` are computed, all frames of a clip alike, so motion stays the
    same. (``training.horizontal_flip`` and ``training.min_crop_share`` change clips too.)
    """

    FIRST_NAMES: ClassVar = {"stored_views": "cached_views"}

    crop_scale_min: float = Field(1.0, gt=0, le=1)
    """A random part of the frame, with at least this share of its area and 3:4 to 4:3 of its aspect ratio, is enlarged
    to the whole (Szegedy et al. 2015); 1 turns it off."""

    brightness: float = Field(0.0, ge=0, le=1)
    """Colours are multiplied by a factor that differs from 1 by up to this much: 0.4 means 0.6 to 1.4."""

    contrast: float = Field(0.0, ge=0, le=1)
    """The same for the distance of each colour from the frame's mean grey."""

    saturation: float = Field(0.0, ge=0, le=1)
    """The same for its distance from its own grey."""

    hue: float = Field(0.0, ge=0, le=0.5)
    """Hues are rotated by up to this share of the colour circle in either direction."""

    rand_augment_ops: int = Field(0, ge=0, le=10)
    """Number of RandAugment operations (Cubuk et al. 2020) that are applied to a clip; 0 turns it off."""

    rand_augment_magnitude: int = Field(9, ge=0, le=30)
    """Magnitude of these operations, from 0 to 30."""

    erasing_probability: float = Field(0.0, ge=0, le=1)
    """Probability that a rectangle of 2 to 33 % of the frame is filled with grey (Zhong et al. 2020)."""

    speed: float = Field(0.0, ge=0, le=3)
    """The clip is played faster or slower by up to this much: 0.25 means 0.8 to 1.25 times as fast."""

    cached_views: int = Field(4, ge=1, le=64, serialization_alias="stored_views")
    """Number of augmented versions of every clip whose features are cached behind a frozen backbone, beside the clip as
    it is. Each takes the same time and space again."""

    temporal_jitter: float = Field(0.0, ge=0, le=1)
    """Each sample time is moved by up to this share of half a step in either direction; at 1 it may be half-way to its
    neighbour. Cached features cannot move: with half this probability one is replaced by a neighbour's."""

    mixup_alpha: float = Field(0.0, ge=0, le=100)
    """Each clip is mixed with another of its batch, λ to 1 - λ with λ from Beta(alpha, alpha), and so are their labels
    (Zhang et al. 2018); 0 turns it off. The other clip is stretched to the length of the first."""

    cutmix_alpha: float = Field(0.0, ge=0, le=100)
    """A rectangle of all frames (of features: a run of steps), 1 - λ of the whole, is replaced by another clip's, and
    labels are mixed in the same proportion (Yun et al. 2019); 0 turns it off. With both, each batch gets one of the
    two."""

    @property
    def augments_frames(self) -> bool:
        """Whether a clip's frames are augmented, before clips are mixed."""
        changes = (self.brightness, self.contrast, self.saturation, self.hue, self.rand_augment_ops)
        return self.crop_scale_min < 1 or any(changes) or self.erasing_probability > 0

    @property
    def frame_augmentation(self) -> Augment:
        """The keys that change a clip's frames, the others at their defaults: equal if frames are augmented alike."""
        return Augment.model_validate(self.model_dump(include=_PICTURE_KEYS))

    @property
    def varies_pictures(self) -> bool:
        """The first name of `augments_frames`."""
        return self.augments_frames

    @property
    def of_pictures(self) -> Augment:
        """The first name of `frame_augmentation`."""
        return self.frame_augmentation

    @property
    def mixes_clips(self) -> bool:
        """Whether the clips of a batch are mixed."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    @property
    def varies_time(self) -> bool:
        """Whether a clip's sample times are changed."""
        return self.speed > 0 or self.temporal_jitter > 0


_PICTURE_KEYS = {
    "crop_scale_min", "brightness", "contrast", "saturation", "hue", "rand_augment_ops", "rand_augment_magnitude",
    "erasing_probability",
}  # fmt: skip
