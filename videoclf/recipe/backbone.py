"""The network that turns frames into feature vectors."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from videoclf.recipe.backbone_names import (
    TEMPORALLY_SHIFTED,
    TORCHVISION_2D,
    TORCHVISION_3D,
    WITHOUT_STAGES,
    backbone_facts,
)
from videoclf.recipe.section import Section


class Backbone(Section):
    """The network that turns frames into feature vectors: each separately (2D), or all of a clip together (3D)."""

    FIRST_NAMES: ClassVar = {
        "tap_below": "intermediate_stage_from_top",
        "tap_grid": "intermediate_grid",
        "unfrozen_stages": "trainable_stages",
    }

    name: str = Field("mobilenet_v2", max_length=200)
    """2D: torchvision's ResNet, MobileNet, EfficientNet, ConvNeXt and RegNet families (``resnet50``,
    ``efficientnet_b0``, ...), ``timm:NAME`` (with the extra ``timm``), or ``tiny``: four convolutions that need no
    pretraining. 3D: ``r3d_18``, ``mc3_18``, ``r2plus1d_18``, ``s3d``, or ``inflated:NAME`` of a 2D name, whose kernels
    are extended to three frames. ``custom``: a module that is passed in from Python."""

    temporal_stride: Literal[1, 2, 4, 8] = 1
    """3D only: frames per step of the feature sequence; T frames give ⌈T / temporal_stride⌉ steps. The original
    r3d_18, r2plus1d_18 and s3d have 8, which leaves the GRU two steps for sixteen frames; with fewer, late strides are
    removed and later kernels are dilated instead."""

    temporal_shift: bool = False
    """True, for ResNets and ``mobilenet_v2``: inside each residual branch an eighth of the channels comes from the
    frame before, and an eighth from the frame after (TSM, Lin et al. 2019). It costs almost nothing; 2D weights fit."""

    weights: str = Field("none", max_length=4096)
    """Where training starts: ``none`` (random), ``imagenet`` (torchvision's or timm's; downloaded once; inflated for an
    ``inflated:`` name), ``kinetics400`` (torchvision's, for its 3D names; downloaded once), a shipped model's name (its
    backbone; nothing is downloaded), or a ``.safetensors`` file. A model file contains its own and ignores this."""

    frozen: bool = False
    """True: the backbone is not trained. Its features are then computed once and cached, instead of once an epoch."""

    intermediate_stage_from_top: int | None = Field(None, ge=1, le=100, serialization_alias="tap_below")
    """torchvision's 2D names only: the features of an earlier stage, with this many stages above it, are appended to
    those of the top (5 of MobileNetV2's nineteen: its thirteenth block). Unset: only the top's features."""

    intermediate_grid: int = Field(3, ge=1, le=8, serialization_alias="tap_grid")
    """Cells per side of the grid over which the intermediate stage's maps are averaged: a coarse position in the
    frame."""

    trainable_stages: int | None = Field(None, ge=1, le=100, serialization_alias="unfrozen_stages")
    """Only this many stages of the backbone are trained, counted from the top; the others stay as they are, their batch
    norms included. Unset: all are trained. (ResNets have five, including the stem, MobileNetV2 nineteen; see
    docs/recipes.md.)"""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        backbone_facts(name)
        return name

    @model_validator(mode="after")
    def _weights_stride_and_stages_can_be_had(self) -> Self:
        facts = backbone_facts(self.name)
        if facts.kind != "custom" and self.temporal_stride > facts.own_temporal_stride:
            raise ValueError(
                f"temporal_stride = {self.temporal_stride}: {self.name} allows at most {facts.own_temporal_stride}"
            )
        if self.temporal_shift and not (facts.source == "torchvision" and facts.network in TEMPORALLY_SHIFTED):
            raise ValueError(
                f"temporal_shift = true: {self.name} cannot be shifted; mobilenet_v2, and resnet, resnext and "
                "wide_resnet names can"
            )
        if self.trainable_stages is not None and facts.source in WITHOUT_STAGES:
            raise ValueError(
                f"trainable_stages = {self.trainable_stages}: {self.name} has no stages known here; unset it"
            )
        if self.intermediate_stage_from_top is not None and (facts.kind != "2d" or facts.source in WITHOUT_STAGES):
            raise ValueError(
                f"intermediate_stage_from_top = {self.intermediate_stage_from_top}: {self.name} has no 2D "
                "stages known here; unset it"
            )
        if self.intermediate_stage_from_top is not None and self.temporal_shift:
            raise ValueError(
                f"intermediate_stage_from_top = {self.intermediate_stage_from_top} and temporal_shift = true "
                "exclude each other; unset one"
            )
        if self.trainable_stages is not None and self.frozen:
            raise ValueError(
                f"frozen = true and trainable_stages = {self.trainable_stages} exclude each other; unset one"
            )
        if self.weights == "kinetics400" and self.name not in TORCHVISION_3D:
            raise ValueError(
                f"weights = 'kinetics400': there are none for {self.name}, only for {', '.join(TORCHVISION_3D)}"
            )
        if self.weights == "imagenet" and (facts.network not in TORCHVISION_2D and facts.source != "timm"):
            others = "none, kinetics400 or a file" if self.name in TORCHVISION_3D else "none or a file"
            raise ValueError(f"weights = 'imagenet': there are none for {self.name}; use {others}")
        return self
