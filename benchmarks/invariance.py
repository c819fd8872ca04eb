"""How far a clip's features change when it shares a batch with longer clips: with masks, and with plain zero padding.

    python benchmarks/invariance.py

For each 3D backbone and temporal stride: the number of steps of 16 frames, and the difference between features in a
padded batch and those of the clips alone: root mean square of the difference over that of the features, over all clips.
Random weights, batch norms that have seen some batches, random clips of 1, 5, 11 and 16 frames at 32×32, one seed. In
float64 too, which separates rounding from leaking.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.classifier import build_backbone
from videoclf.modeling.padding import pad_sequences
from videoclf.recipe.backbone_names import TORCHVISION_3D
from videoclf.recipe.recipe import Recipe

NUM_FRAMES = (1, 5, 11, 16)
INFLATED = ("tiny", "resnet18", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "regnet_y_400mf")


def main() -> None:
    """Print a line for each backbone and temporal stride."""
    print(f"{'backbone':28} {'stride':>6} {'steps of 16':>11} {'masked':>9} {'in float64':>11} {'plain padding':>14}")
    kinds = [(name, stride) for name, own in TORCHVISION_3D.items() for stride in (1, 2, 4, 8) if stride <= own]
    for name, temporal_stride in [*kinds, *((f"inflated:{name}", 1) for name in INFLATED)]:
        torch.manual_seed(0)
        recipe = Recipe.model_validate({"backbone": {"name": name, "temporal_stride": temporal_stride}})
        backbone = build_backbone(recipe)
        assert isinstance(backbone, ClipBackbone)  # no other kind is named here
        fill_statistics(backbone)
        masked, plain = measure(backbone.eval(), torch.float32)
        exact, _ = measure(backbone.double(), torch.float64)
        num_steps = -(-NUM_FRAMES[-1] // temporal_stride)
        print(f"{name:28} {temporal_stride:6} {num_steps:11} {masked:9.1e} {exact:11.1e} {plain:14.1%}")


@torch.no_grad()
def fill_statistics(backbone: ClipBackbone) -> None:
    """Let batch norms see data: as they are built they do nothing, and a network without biases maps zeros to zeros."""
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.momentum = None  # the mean over all batches
    for name, parameter in backbone.named_parameters():
        if name.endswith("layer_scale"):
            parameter.fill_(1)  # ConvNeXt starts with 1e-6: its convolutions would not show
    for _ in range(2):
        backbone.train()(torch.randn(4, 8, 3, 32, 32), torch.full((4,), 8))


@torch.inference_mode()
def measure(backbone: ClipBackbone, dtype: torch.dtype) -> tuple[float, float]:
    """How far from the clips alone: as we do it, and with zeros behind the shorter clips."""
    clips = [torch.randn(num_frames, 3, 32, 32, dtype=dtype) for num_frames in NUM_FRAMES]
    alone = [backbone(clip[None], torch.tensor([len(clip)]))[0][0] for clip in clips]
    batch, num_frames = pad_sequences(clips)
    masked, _ = backbone.run_padded(batch, num_frames)
    plain, _ = backbone.run_padded(batch, torch.full_like(num_frames, batch.shape[1]))
    return difference(alone, masked), difference(alone, plain)


def difference(alone: list[Tensor], batch: Tensor) -> float:
    """Relative, over the valid steps of all clips."""
    steps = torch.cat(alone)
    together = torch.cat([padded[: len(clip)] for clip, padded in zip(alone, batch, strict=True)])
    return float((together - steps).norm() / steps.norm())


if __name__ == "__main__":
    main()
