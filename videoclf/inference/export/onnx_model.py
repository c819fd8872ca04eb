"""Writes what torch's ONNX exporter cannot convert in ONNX's own operators (https://onnx.ai/onnx/operators)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.onnx.ops import symbolic, symbolic_multi_out

from videoclf.inference.engines.exported_engine import OUTPUTS, PARTS
from videoclf.inference.export.whole_graph import GraphPart, WholeGraph, graph_parts
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.classifier import VideoClassifier
from videoclf.recipe.crop_geometry import resized_size
from videoclf.recipe.header import ModelHeader

ONNX_VERSION = 20
"""Version of the operators."""


def export_onnx(classifier: VideoClassifier, header: ModelHeader, frames: Tensor) -> Any:
    """Convert a model to ONNX's ``ModelProto``, without metadata.

    Args:
        classifier: in evaluation mode, on the CPU.
        header: the model's header.
        frames: an example for the exporter, ``T×H×W×3`` uint8.

    Raises:
        ImportError: onnx or onnxscript is not installed.
        Exception: whatever torch's exporter raises for what it cannot convert.
    """
    import onnx.compose

    model, value_info = None, []
    whole = OnnxModel(classifier, header)
    parts = graph_parts(WholeGraph(classifier, header), frames)  # whose examples are real
    for (start, stages), (part, example, axes) in zip(PARTS, parts, strict=True):
        program = torch.onnx.export(
            GraphPart(whole, part.method), (example,), dynamo=True, opset_version=ONNX_VERSION, verbose=False,
            dynamic_shapes=(dict.fromkeys(axes, torch.export.Dim.DYNAMIC),),
            input_names=[start], output_names=list(stages),
        )  # fmt: skip
        exported: Any = program.model_proto  # type: ignore[union-attr]  # it is None where a file is named
        value_info += exported.graph.output
        if model is None:
            model = exported
            continue
        exported = onnx.compose.add_prefix(exported, f"{start}/", rename_inputs=False, rename_outputs=False)
        model = onnx.compose.merge_models(model, exported, io_map=[(start, start)], outputs=list(stages))
    assert model is not None  # there are parts
    del model.graph.output[: -len(OUTPUTS)]
    known = {info.name for info in (*model.graph.value_info, *model.graph.output)}
    model.graph.value_info.extend(info for info in value_info if info.name not in known)  # it can be cut at these
    return model


class OnnxModel(WholeGraph):
    """`WholeGraph` for export only: its resize and its GRUs compute correct numbers only in ONNX runtimes."""

    def __init__(self, classifier: VideoClassifier, header: ModelHeader) -> None:
        super().__init__(classifier, header)
        self.classifier.temporal = _with_onnx_grus(self.classifier.temporal)

    def resize(self, frames: Tensor) -> Tensor:
        """See `WholeGraph`. Sizes are computed with tensors: with symbolic integers torch's exporter took minutes to
        prove things about them."""
        spec = self.recipe.preprocess
        shape = symbolic("Shape", (frames,), dtype=torch.int64, shape=(4,), version=ONNX_VERSION)
        size = torch.stack([torch.as_tensor(side) for side in resized_size(shape[1], shape[2], spec)])
        planes = frames.permute(0, 3, 1, 2).float()
        resized = symbolic(
            "Resize",
            (planes, None, None, torch.cat([shape[:1], torch.tensor([3]), size])),
            {"mode": "linear", "antialias": 1, "exclude_outside": 1},
            dtype=torch.float32,
            shape=planes.shape,  # not true of the last two, which nothing here asks for
            version=ONNX_VERSION,
        )
        cropped_size = torch.tensor([spec.height, spec.width])
        start = (size - cropped_size) // 2
        cropped = symbolic(
            "Slice",
            (resized, start, start + cropped_size, torch.tensor([2, 3])),
            dtype=torch.float32,
            shape=(frames.shape[0], 3, spec.height, spec.width),
            version=ONNX_VERSION,
        )
        return cropped / 255

    def join(self, features: Tensor) -> Tensor:
        """See `WholeGraph`. Torch would require proof that the number of images is that of whole clips."""
        if isinstance(self.backbone, ClipBackbone):
            return super().join(features)
        num_steps = features.shape[0] // (self.num_clips * self.backbone.num_views)
        shape = (self.num_clips, num_steps, self.backbone.feature_size)
        pattern = torch.tensor([self.num_clips, -1, self.backbone.feature_size])
        return symbolic("Reshape", (features, pattern), dtype=torch.float32, shape=shape, version=ONNX_VERSION)


class OnnxGru(nn.Module):
    """ONNX's own GRU instead of torch's, which its exporter would unroll to the example's length.

    Args:
        gru: with one layer and one direction, batch first.
    """

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.hidden_size = gru.hidden_size
        # gates: torch has reset, update, new; ONNX update, reset, new
        weights = {name: self._reordered(tensor) for name, tensor in gru.state_dict().items()}
        self.weight_ih: Tensor
        self.weight_hh: Tensor
        self.bias: Tensor
        self.register_buffer("weight_ih", weights["weight_ih_l0"][None])
        self.register_buffer("weight_hh", weights["weight_hh_l0"][None])
        self.register_buffer("bias", torch.cat([weights["bias_ih_l0"], weights["bias_hh_l0"]])[None])

    @staticmethod
    def _reordered(gates: Tensor) -> Tensor:
        reset, update, new = gates.detach().chunk(3)
        return torch.cat([update, reset, new])

    def forward(self, steps_BTD: Tensor) -> tuple[Tensor, None]:
        """States, ``B×T×H``. They are meaningful only during export."""
        num_clips, num_steps = steps_BTD.shape[:2]
        states_T1BH, _ = symbolic_multi_out(
            "GRU",
            (steps_BTD.transpose(0, 1), self.weight_ih, self.weight_hh, self.bias),
            {"hidden_size": self.hidden_size, "linear_before_reset": 1},
            dtypes=(torch.float32, torch.float32),
            shapes=((num_steps, 1, num_clips, self.hidden_size), (1, num_clips, self.hidden_size)),
            version=ONNX_VERSION,
        )
        return states_T1BH.squeeze(1).transpose(0, 1), None


def _with_onnx_grus(temporal: nn.Module) -> nn.Module:
    temporal = copy.deepcopy(temporal)
    for module in list(temporal.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GRU):
                setattr(module, name, OnnxGru(child))
    return temporal
