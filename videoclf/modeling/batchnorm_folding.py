"""Folds batch norms into the convolutions before them: in evaluation both are one linear map, which takes half the
time."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils.fusion import fuse_conv_bn_eval

from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.classifier import VideoClassifier


def fold_batch_norms(classifier: VideoClassifier) -> VideoClassifier:
    """The same network for prediction. Features agree within 1e-5 of the largest one (float32, rounding).

    Args:
        classifier: in evaluation mode. It is not changed. Temporal model and head are shared with the result.

    Returns:
        A network with a folded backbone; the classifier itself if there is nothing to fold, or if the backbone (a
        custom one that cannot be traced) must run as it is.
    """
    backbone = classifier.backbone
    if not isinstance(backbone, FrameBackbone | ClipBackbone) or not _has_batch_norms(backbone.network):
        return classifier
    folded: FrameBackbone | ClipBackbone
    if isinstance(backbone.network, fx.GraphModule):  # to trace it anew would drop what else its layers are told
        folded = copy.deepcopy(backbone)
        _fold_in_graph(folded.network)
    elif isinstance(backbone, FrameBackbone):
        try:
            network: Any = fuse(backbone.network)
        except (fx.proxy.TraceError, TypeError, RuntimeError, AttributeError, KeyError, NotImplementedError):
            return classifier
        folded = FrameBackbone(network, backbone.feature_size // backbone.num_views, num_views=backbone.num_views)
    else:
        return classifier
    return classifier.with_backbone(folded.requires_grad_(False).eval()).eval()


def _has_batch_norms(network: nn.Module) -> bool:
    return any(isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) for module in network.modules())


def _fold_in_graph(network: Any) -> None:
    """Each batch norm that alone reads a convolution's output goes into it."""
    modules: dict[str, nn.Module] = dict(network.named_modules())
    num_uses = Counter(id(modules[node.target]) for node in network.graph.nodes if node.op == "call_module")
    for node in list(network.graph.nodes):
        norm = modules.get(node.target) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
            continue
        before = node.args[0]
        conv = modules.get(before.target) if before.op == "call_module" else None
        if not isinstance(conv, nn.Conv2d | nn.Conv3d) or len(before.users) > 1:
            continue
        if num_uses[id(conv)] > 1 or num_uses[id(norm)] > 1:  # a layer that is called twice has one weight for both
            continue
        with torch.no_grad():
            network.set_submodule(before.target, fuse_conv_bn_eval(conv, norm))
        node.replace_all_uses_with(before)
        network.graph.erase_node(node)
    network.delete_all_unused_submodules()
    network.recompile()
