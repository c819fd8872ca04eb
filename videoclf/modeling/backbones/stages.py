"""The stages of a backbone, from its input to its top, which fine-tuning freezes or trains more slowly."""

from __future__ import annotations

from torch import nn

from videoclf.errors import RecipeInvalidError
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone

CONTAINERS = frozenset({"0", "features", "trunk_output"})
"""Children of torchvision's networks that contain stages and are not stages themselves (``0``: our name of
``features``)."""

_TAIL = frozenset({"avgpool", "classifier", "flatten"})
"""What a per-frame network holds above its trunk; a norm there (ConvNeXt's) belongs to the last stage."""


def backbone_stages(backbone: FrameBackbone | ClipBackbone) -> list[nn.ModuleList]:
    """Each stage with its layers. Together they contain all weights.

    ResNets and torchvision's 3D ones have five (the stem, ``layer1`` to ``layer4``), RegNets too, EfficientNet-B0 nine,
    ConvNeXts eight, MobileNetV2 nineteen (the stem, seventeen blocks, the last convolution), S3D twelve, ``tiny`` 4.

    Args:
        backbone: the result of `build_backbone` for ``tiny``, one of torchvision's names, or an inflated one.
    """
    stages: list[nn.ModuleList] = []
    for name, layer in _pieces(backbone.network):
        starts_one = name not in _TAIL and (isinstance(layer, nn.Conv2d | nn.Conv3d) or any(layer.children()))
        if starts_one:
            stages.append(nn.ModuleList())
        if stages:  # nothing before the first convolution holds weights
            stages[-1].append(layer)
    if isinstance(backbone, ClipBackbone):
        stages[-1].append(backbone.tail)
    return stages


def freeze_lower_stages(backbone: FrameBackbone | ClipBackbone, num_unfrozen: int) -> None:
    """Freeze all stages except the uppermost ones.

    Raises:
        RecipeInvalidError: there are fewer stages.
    """
    stages = backbone_stages(backbone)
    if num_unfrozen > len(stages):
        raise RecipeInvalidError(
            f"the network has {len(stages)} stages",
            source=f"backbone.trainable_stages = {num_unfrozen}",
            hint="use a smaller number",
        )
    for stage in stages[: len(stages) - num_unfrozen]:
        stage.requires_grad_(False)


def _pieces(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers and blocks in order, out of their containers."""
    pieces: list[tuple[str, nn.Module]] = []
    for name, layer in network.named_children():
        held = list(layer.named_children()) if name in CONTAINERS else []
        pieces += [(f"{name}.{inner}", block) for inner, block in held] or [(name, layer)]
    return pieces
