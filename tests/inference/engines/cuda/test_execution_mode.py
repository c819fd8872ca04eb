"""A mode of computing whose result is off is refused, and named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from videoclf.inference.engines.cuda import execution_mode as choosing
from videoclf.inference.engines.cuda.execution_mode import (
    ExecutionMode,
    execution_modes,
    fastest_sound_backbone,
    float32_in_full,
    in_mode,
)
from videoclf.inference.engines.cuda.launching import Launching
from videoclf.modeling.backbones.clip_networks import ClipBackbone
from videoclf.modeling.backbones.frame_networks import FrameBackbone
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.recipe.recipe import Recipe

CPU = torch.device("cpu")
BF16 = torch.bfloat16  # a CPU has it, as a GPU has float16


class Moody(nn.Module):
    """Right in one mode, and of any result in others."""

    def __init__(self, wrong_in: torch.dtype | torch.memory_format | None, result: float = 3.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.wrong_in, self.result = wrong_in, result

    def forward(self, frames: Tensor) -> Tensor:
        maps: Tensor = self.conv(frames)
        is_last = maps.is_contiguous(memory_format=torch.channels_last)
        is_wrong = maps.dtype == self.wrong_in or (self.wrong_in is torch.channels_last and is_last)
        return maps.mean((2, 3)) * (self.result if is_wrong else 1.0)


def classifier_of(network: nn.Module) -> tuple[VideoClassifier, Recipe]:
    recipe = Recipe.model_validate({"preprocess": {"height": 16, "width": 16}, "backbone": {"name": "custom"}})
    return build_classifier(recipe, 2, FrameBackbone(network, 4)).eval(), recipe


def choose(network: nn.Module, *wanted: ExecutionMode) -> tuple[ExecutionMode, list[str]]:
    classifier, recipe = classifier_of(network)
    notices: list[str] = []
    _, mode = fastest_sound_backbone(classifier, recipe.preprocess, CPU, wanted, notices.append)
    return mode, notices


HALF, HALF_CONTIGUOUS = ExecutionMode(BF16, is_channels_last=True), ExecutionMode(BF16)
FULL_LAST = ExecutionMode(is_channels_last=True)


def test_what_is_right_is_taken_at_once() -> None:
    assert choose(Moody(None), HALF, FULL_LAST) == (HALF, [])


@pytest.mark.parametrize("result", [3.0, float("nan"), float("inf")])
def test_a_precision_that_is_off_is_refused_by_name(result: float) -> None:
    mode, notices = choose(Moody(BF16, result), HALF, HALF_CONTIGUOUS, FULL_LAST)
    assert mode == FULL_LAST
    assert [notice.partition(" (")[0] for notice in notices] == [
        "the network in bfloat16, channels-last is wrong on cpu",
        "the network in bfloat16, contiguous is wrong on cpu",
    ]


def test_a_layout_that_is_off_is_refused() -> None:
    mode, (notice,) = choose(Moody(torch.channels_last), HALF, HALF_CONTIGUOUS)
    assert mode == HALF_CONTIGUOUS
    assert notice == (
        "the network in bfloat16, channels-last is wrong on cpu (off by 2.0e+00 of its features' size, more than "
        "5e-02): this mode is not used"
    )


def test_where_all_are_wrong_the_plain_network_runs() -> None:
    mode, notices = choose(Moody(torch.channels_last), HALF, FULL_LAST)
    assert mode == ExecutionMode(torch.float32, is_channels_last=False)
    assert len(notices) == 2


def test_a_mode_that_fails_is_refused_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("FIND was unable to find an engine\nto execute this computation")

    monkeypatch.setattr(choosing, "fold_batch_norms", fail)
    mode, (notice,) = choose(Moody(None), ExecutionMode(is_folded=True))
    assert mode == ExecutionMode()
    assert "(FIND was unable to find an engine to execute this computation): this mode is not used" in notice


def test_running_out_of_memory_is_no_mistake_of_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(choosing, "fold_batch_norms", fail)
    with pytest.raises(torch.OutOfMemoryError):
        choose(Moody(None), ExecutionMode(is_folded=True))


def test_a_model_file_says_whether_half_precision_is_tried() -> None:
    assert [str(mode) for mode in execution_modes("float32")] == ["float32, channels-last", "float32, contiguous"]
    assert [mode.dtype for mode in execution_modes("float16")] == [torch.float16] * 2 + [torch.float32] * 2
    assert str(execution_modes("float32", Launching.GRAPHS)[0]) == "float32, channels-last, graphs"


@pytest.mark.parametrize("name", ["tiny", "mc3_18"])
@pytest.mark.parametrize("is_channels_last", [False, True])
def test_the_classifier_is_left_as_it_is(name: str, is_channels_last: bool) -> None:
    recipe = Recipe.model_validate({"backbone": {"name": name}})
    classifier = build_classifier(recipe, 2).eval()
    before = {key: (value.clone(), value.stride()) for key, value in classifier.state_dict().items()}
    backbone = in_mode(classifier, ExecutionMode(BF16, is_channels_last=is_channels_last, is_folded=True), CPU)
    weights = [weight for weight in backbone.parameters() if weight.ndim >= 4 and weight.shape[1] > 1]
    layout = torch.channels_last if weights[0].ndim == 4 else torch.channels_last_3d
    for weight in weights:
        assert weight.dtype == BF16
        assert weight.is_contiguous(memory_format=layout if is_channels_last else torch.contiguous_format)
    for key, value in classifier.state_dict().items():
        assert torch.equal(value, before[key][0])
        assert value.stride() == before[key][1]


def test_contiguous_clips_meet_a_contiguous_3d_network() -> None:
    recipe = Recipe.model_validate({"backbone": {"name": "mc3_18"}})
    classifier = build_classifier(recipe, 2).eval()
    for is_last in (False, True):
        backbone = in_mode(classifier, ExecutionMode(is_channels_last=is_last), CPU)
        assert isinstance(backbone, ClipBackbone)
        items = backbone.to_items(torch.zeros(2, 4, 3, 8, 8))
        assert items.is_contiguous(memory_format=torch.channels_last_3d) == is_last


def test_only_networks_of_single_frames_are_recorded() -> None:
    classifier = build_classifier(Recipe.model_validate({"backbone": {"name": "mc3_18"}}), 2).eval()
    with pytest.raises(ValueError, match="launching = graphs: only for per-frame networks"):
        in_mode(classifier, ExecutionMode(launching=Launching.GRAPHS), CPU)


def test_float32_is_computed_in_full_and_what_was_set_comes_back() -> None:
    before = torch.backends.cudnn.allow_tf32
    with float32_in_full():
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before
