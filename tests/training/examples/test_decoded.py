from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import write_clip
from videoclf.data.dataset import LabelledClip
from videoclf.modeling.preprocess import arrange_channels
from videoclf.progress import SilentProgress
from videoclf.recipe.augment import Augment
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.decoded import Draw, Example, Quarantine, VariedSteps, VideoExamples, Views
from videoclf.training.examples.resizer import DeviceResizer


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledClip]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        LabelledClip(write_clip(folder / f"{number}.avi", 25, first_number=40 * number), "a", None)
        for number in range(3)
    ]


def videos(augment: dict[str, Any], channels: tuple[str, ...] = ("rgb",), device: str | None = None) -> VideoExamples:
    """On a named device frames go up as bytes, even where that is the CPU."""
    preprocess = {"fit": "stretch", "height": 32, "width": 32, "channels": channels}
    recipe = Recipe.model_validate({"preprocess": preprocess, "sampling": {"fps": 10}, "augment": augment})
    resizer = device and DeviceResizer(recipe.preprocess, torch.device(device), lambda _text: None)
    return VideoExamples(recipe, Quarantine(SilentProgress()), 2, lambda: None, resizer=resizer or None)


def steps_of(examples: VideoExamples, clips: list[LabelledClip], seed: int = 0) -> list[Tensor]:
    found = examples.for_training([Draw(clip, (seed, i)) for i, clip in enumerate(clips)])
    return [example.steps for example in found if example is not None]


def looked_at(examples: VideoExamples, clips: list[LabelledClip]) -> list[Tensor]:
    return [windows[0] for _, windows in examples.for_validation(clips, lambda views, _: views[0])]


VARIED = {"crop_scale_min": 0.5, "brightness": 0.4, "speed": 0.5, "temporal_jitter": 1.0}


def test_without_augmentation_training_sees_clips_as_validation_does(clips: list[LabelledClip]) -> None:
    examples = videos({})
    assert all(map(torch.equal, steps_of(examples, clips), looked_at(examples, clips)))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_clips_resized_on_a_gpu_are_those_of_the_cpu_and_can_be_learnt_from(
    clips: list[LabelledClip], device: str
) -> None:
    channels = ("rgb", "difference")
    for augment in ({}, VARIED):
        here, there = videos(augment, channels), videos(augment, channels, device)
        for look in (steps_of, looked_at):
            for expected, found in zip(look(here, clips), look(there, clips), strict=True):
                assert found.device.type == device
                if device == "cpu":
                    assert torch.equal(found, expected)
                else:  # a grey level of 255; contrast makes it up to 1.4, and so does dividing by the deviation, 4.4
                    assert float((found.cpu() - expected).abs().max()) <= 1.4 * 4.5 / 255
                weight = torch.zeros(1, 6, 1, 1, device=device, requires_grad=True)
                (gradient,) = torch.autograd.grad(torch.nn.functional.conv2d(found, weight).sum(), weight)
                assert gradient.abs().sum() > 0  # what inference mode made is refused


def test_the_same_generator_gives_the_same_examples(clips: list[LabelledClip]) -> None:
    first, again, other = (steps_of(videos(VARIED), clips, seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not any(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_validation_is_not_varied(clips: list[LabelledClip]) -> None:
    assert all(map(torch.equal, looked_at(videos(VARIED), clips), looked_at(videos({}), clips)))


def test_where_the_recipe_says_so_validation_sees_the_mirror_image_too(clips: list[LabelledClip]) -> None:
    recipe = Recipe.model_validate({"preprocess": {"height": 32, "width": 32}, "testing": {"horizontal_flip": True}})
    examples = VideoExamples(recipe, Quarantine(SilentProgress()), 2, lambda: None)
    for _, ((window, mirrored),) in examples.for_validation(clips, lambda views, _: views):
        assert torch.equal(mirrored, window.flip(-1))


def test_motion_is_made_of_varied_pictures(clips: list[LabelledClip]) -> None:
    rgb = steps_of(videos({"brightness": 0.8}), clips)
    both = steps_of(videos({"brightness": 0.8}, ("rgb", "difference")), clips)
    spec = Recipe.model_validate({"preprocess": {"channels": ["rgb", "difference"]}}).preprocess
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (spec.mean, spec.std))
    for single, double in zip(rgb, both, strict=True):
        torch.testing.assert_close(double, arrange_channels(single * std + mean, spec), atol=1e-5, rtol=1e-5)


def test_speed_changes_how_many_moments_a_clip_has(clips: list[LabelledClip]) -> None:
    lengths = {len(steps) for seed in range(4) for steps in steps_of(videos({"speed": 1.0}), clips, seed)}
    assert min(lengths) < 10 < max(lengths)  # 1 s at 10 moments a second
    assert 5 <= min(lengths) <= max(lengths) <= 20


def test_jitter_moves_frames_and_keeps_their_number(clips: list[LabelledClip]) -> None:
    still, moved = steps_of(videos({}), clips), steps_of(videos({"temporal_jitter": 1.0}), clips)
    assert [len(steps) for steps in moved] == [len(steps) for steps in still]
    assert not any(map(torch.equal, moved, still))


def test_given_steps_are_varied_in_training_only() -> None:
    class Given:
        def for_training(self, draws: Any) -> Iterator[Any]:
            return iter([Example(torch.arange(40), "a")])

        def for_validation(self, clips: Any, look: Callable[[Views, int], Any]) -> Iterator[Any]:
            return iter([("clip", [look((torch.arange(40),), 40)])])

    examples = VariedSteps(Given(), Augment(temporal_jitter=1))
    (example,) = examples.for_training([Draw(LabelledClip(Path("a"), "a", None), (0,))])
    assert example is not None
    assert not torch.equal(example.steps, torch.arange(40))
    ((_, seen),) = examples.for_validation([], lambda views, _: views[0])
    assert torch.equal(seen[0], torch.arange(40))
