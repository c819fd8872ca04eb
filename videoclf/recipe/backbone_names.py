"""The names of the backbones, and what a recipe must know about them before torch is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

TORCHVISION_2D: tuple[str, ...] = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2",
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5",
    "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l",
    "convnext_tiny", "convnext_small", "convnext_base", "convnext_large",
    "regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf", "regnet_x_3_2gf", "regnet_x_8gf", "regnet_x_16gf",
    "regnet_x_32gf", "regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf", "regnet_y_8gf",
    "regnet_y_16gf", "regnet_y_32gf", "regnet_y_128gf",
)  # fmt: skip
"""torchvision's classification networks of these families; ImageNet weights exist for each."""

TORCHVISION_3D: dict[str, int] = {"r3d_18": 8, "mc3_18": 1, "r2plus1d_18": 8, "s3d": 8}
"""torchvision's video networks, each with its own stride in time; Kinetics-400 weights exist for each."""

TEMPORALLY_SHIFTED: tuple[str, ...] = (
    "mobilenet_v2", *(name for name in TORCHVISION_2D if name.startswith(("resnet", "resnext", "wide_resnet"))),
)  # fmt: skip
"""The 2D networks that support `Backbone.temporal_shift`."""

ALLOWED = (
    "tiny, torchvision's resnet, resnext, wide_resnet, mobilenet, efficientnet, convnext and regnet names (resnet50, "
    "regnet_y_400mf, ...), inflated:NAME of any of these, timm:NAME, r3d_18, mc3_18, r2plus1d_18, s3d, or custom"
)
"""The allowed names, as text."""

_TIMM_NAME = re.compile(r"[a-z0-9_]{1,100}(\.[a-z0-9_]{1,100})?")
"""No colon, slash or second dot: timm reads ``hf-hub:`` and ``local-dir:`` names as places to load from."""


@dataclass(frozen=True)
class BackboneFacts:
    """Facts about the network that a name stands for."""

    kind: Literal["2d", "3d", "custom"]
    """``2d``: runs on each frame separately. ``3d``: sees time. ``custom``: a module that the user passes in."""

    network: str
    """The name without its prefix: ``resnet50`` of ``inflated:resnet50``."""

    source: Literal["tiny", "torchvision", "inflated", "timm", "custom"]
    """Where it comes from: ``tiny``, ``torchvision``, ``inflated``, ``timm`` or ``custom``."""

    own_temporal_stride: int = 1
    """Frames per step of the original network: the maximum of `Backbone.temporal_stride`."""


def backbone_facts(name: str) -> BackboneFacts:
    """Look up a backbone's name.

    Raises:
        ValueError: the name is unknown; the text says what is allowed.

    >>> backbone_facts("inflated:resnet50")
    BackboneFacts(kind='3d', network='resnet50', source='inflated', own_temporal_stride=1)
    """
    prefix, colon, rest = name.rpartition(":")
    if colon and prefix == "inflated" and (rest == "tiny" or rest in TORCHVISION_2D):
        return BackboneFacts("3d", rest, "inflated")
    if colon and prefix == "timm" and _TIMM_NAME.fullmatch(rest):
        return BackboneFacts("2d", rest, "timm")
    if name == "custom":
        return BackboneFacts("custom", name, "custom")
    if name == "tiny":
        return BackboneFacts("2d", name, "tiny")
    if name in TORCHVISION_2D:
        return BackboneFacts("2d", name, "torchvision")
    if name in TORCHVISION_3D:
        return BackboneFacts("3d", name, "torchvision", TORCHVISION_3D[name])
    raise ValueError(f"unknown backbone; allowed are {ALLOWED}")


WITHOUT_STAGES = frozenset({"timm", "custom"})
"""Sources of networks whose order of layers is not known here."""
