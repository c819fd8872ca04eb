"""Batch norms folded into the convolutions before them: in evaluation they are one linear map, at half the time."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from videoclf.modeling.backbone2d import FrameBackbone
from videoclf.modeling.classifier import VideoClassifier


def fold_batch_norms(classifier: VideoClassifier) -> VideoClassifier:
    """The same network for prediction: features agree within 1e-5 of their largest (float32, rounding).

    Args:
        classifier: in evaluation mode; is left as it is. Temporal model and head are shared with the result.

    Returns:
        A network whose per-frame backbone is folded; the classifier itself where there is nothing to fold, or where the
        backbone (a 3D one, one with temporal shifts, or a user's own that cannot be followed) has to be run as it is.
    """
    backbone = classifier.backbone
    if not isinstance(backbone, FrameBackbone) or not _has_batch_norms(backbone.network):
        return classifier
    if backbone.has_temporal_shift:  # folding traces the graph anew, and would drop the frames' neighbours
        return classifier
    try:
        network: Any = fuse(backbone.network)
    except (fx.proxy.TraceError, TypeError, RuntimeError, AttributeError, KeyError, NotImplementedError):
        return classifier
    folded = FrameBackbone(network, backbone.feature_size // backbone.num_views, num_views=backbone.num_views)
    return VideoClassifier(folded, classifier.temporal, classifier.head).requires_grad_(False).eval()


def _has_batch_norms(network: nn.Module) -> bool:
    return any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
