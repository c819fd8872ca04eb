"""From decoded frames to the network's input."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializationInfo, field_serializer, field_validator, model_validator

from videoclf.recipe.section import Section

_Mean = Annotated[float, Field(ge=-100, le=100)]
_Deviation = Annotated[float, Field(ge=1e-3, le=1000)]

Channels = Literal["rgb", "gray_triplet", "difference"]
_FIRST_NAMES = {"moments": "gray_triplet"}
"""Of channels, in older versions."""
_FIRST_OF = {now: first for first, now in _FIRST_NAMES.items()}


class Preprocess(Section):
    """From decoded frames (uint8 RGB, any size) to the network's input (float32, ``3×height×width``)."""

    fit: Literal["stretch", "crop"] = "crop"
    """``stretch``: the whole frame is resized to height×width, without keeping the aspect ratio. ``crop``: the frame is
    resized to cover height×width times ``crop_margin``; the centre is cut out."""

    height: int = Field(224, ge=16, le=1024)
    """Rows of the network's input, in pixels."""

    width: int = Field(224, ge=16, le=1024)
    """Columns of the network's input, in pixels."""

    crop_margin: float = Field(1.0, ge=1, le=4)
    """``crop`` only: how much larger than height×width the frame is before the centre is cut out (1.143: 256 → 224)."""

    channels: tuple[Channels, ...] = Field(("rgb",), min_length=1, max_length=3)
    """The views of each frame that the network sees, three channels each; a 2D network sees motion as colour.
    ``gray_triplet``: the grey images of the sampled frame before, of the frame itself and of the one after.
    ``difference``: half the difference between the frame after and the one before, in RGB, around middle grey.
    (At a clip's ends the frame itself replaces a missing neighbour.) With several views, the backbone runs once for
    each, and the features are concatenated."""

    mean: tuple[_Mean, _Mean, _Mean] = (0.485, 0.456, 0.406)
    """Subtracted from each channel, on the scale where white is 1 (the default is ImageNet's)."""

    std: tuple[_Deviation, _Deviation, _Deviation] = (0.229, 0.224, 0.225)
    """Each channel is then divided by it."""

    @field_validator("channels", mode="before")
    @classmethod
    def _channels_under_todays_names(cls, channels: Any) -> Any:
        return todays_channels(channels)

    @field_serializer("channels")
    def _first_names_where_hashed(self, channels: tuple[Channels, ...], info: SerializationInfo) -> tuple[str, ...]:
        return tuple(_FIRST_OF.get(name, name) for name in channels) if info.by_alias else channels

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channels names one twice: {list(self.channels)}")
        return self


def todays_channels(channels: Any) -> Any:
    """The same channels, those of older versions under the names that they have now; anything else is left alone."""
    if not isinstance(channels, list | tuple):
        return channels
    return type(channels)(_FIRST_NAMES.get(each, each) if isinstance(each, str) else each for each in channels)
