"""The one preprocessing against what it is defined by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from videoclf.media.frames import RgbFrames
from videoclf.modeling.preprocess import arrange_channels, preprocess_frames, preprocess_window
from videoclf.recipe.preprocess import Preprocess


def frames(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, (*shape, 3), dtype=torch.uint8)


def test_stretching_is_torchs_antialiased_resize() -> None:
    given = frames(2, 45, 61)
    expected = interpolate(given.permute(0, 3, 1, 2).float(), (32, 48), mode="bilinear", antialias=True) / 255
    spec = Preprocess(fit="stretch", height=32, width=48)
    assert torch.equal(preprocess_frames(given, spec), expected)


def test_frames_of_the_right_size_are_only_scaled() -> None:
    given = frames(1, 32, 32)
    result = preprocess_frames(given, Preprocess(fit="crop", height=32, width=32))
    assert torch.equal(result, given.permute(0, 3, 1, 2) / 255)


@pytest.mark.parametrize(("height", "width"), [(17, 400), (400, 17), (1, 1), (33, 32), (1080, 1920)])
@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_every_size_becomes_the_recipes_size(height: int, width: int, fit: str) -> None:
    spec = Preprocess.model_validate({"fit": fit, "height": 32, "width": 48, "crop_margin": 1.143})
    result = preprocess_frames(frames(1, height, width), spec)
    assert result.shape == (1, 3, 32, 48)
    assert 0 <= result.min() <= result.max() <= 1


def test_cropping_keeps_the_centre_and_the_aspect() -> None:
    given = torch.zeros(1, 64, 128, 3, dtype=torch.uint8)
    given[:, :, 32:96] = 255
    cropped = preprocess_frames(given, Preprocess(fit="crop", height=32, width=32))
    assert cropped[..., 1:-1].min() == 1  # the outermost columns mix in what was cut off


def test_chunks_of_a_window_are_prepared_as_one_clip() -> None:
    rgb = frames(10, 40, 50).numpy()
    pts = np.arange(10.0)
    spec = Preprocess(height=32, width=32, channels=("gray_triplet", "difference"))
    whole = preprocess_window(iter([RgbFrames(rgb, pts, "x")]), spec)
    parts = preprocess_window(iter([RgbFrames(rgb[:4], pts[:4], "x"), RgbFrames(rgb[4:], pts[4:], "x")]), spec)
    assert torch.equal(whole, parts)
    assert whole.shape == (10, 6, 32, 32)


def test_rgb_is_normalised_by_channel() -> None:
    spec = Preprocess(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    clip = torch.full((1, 3, 2, 2), 0.5)
    assert arrange_channels(clip, spec)[0, :, 0, 0].tolist() == [0.0, 1.0, 0.5]


def test_moments_are_the_grey_frames_before_now_and_after() -> None:
    spec = Preprocess(channels=("gray_triplet",), mean=(0, 0, 0), std=(1, 1, 1))
    grey_frames = torch.tensor([0.1, 0.4, 0.8]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    moments = arrange_channels(grey_frames, spec)[:, :, 0, 0]
    assert torch.allclose(moments, torch.tensor([[0.1, 0.1, 0.4], [0.1, 0.4, 0.8], [0.4, 0.8, 0.8]]))


def test_difference_is_half_the_change_from_before_to_after_around_grey() -> None:
    spec = Preprocess(channels=("difference",), mean=(0, 0, 0), std=(1, 1, 1))
    clip = torch.tensor([0.1, 0.4, 0.8]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert torch.allclose(arrange_channels(clip, spec)[:, 0, 0, 0], torch.tensor([0.65, 0.85, 0.7]))


def test_a_single_frame_shows_no_motion() -> None:
    spec = Preprocess(channels=("difference",), mean=(0.5, 0.5, 0.5), std=(1, 1, 1))
    assert arrange_channels(torch.rand(1, 3, 4, 4), spec).abs().max() == 0


@pytest.mark.parametrize("wrong", [torch.zeros(2, 4, 4, 3), torch.zeros(4, 4, 3, dtype=torch.uint8)])
def test_anything_but_uint8_frames_is_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected uint8 frames T×H×W×3"):
        preprocess_frames(wrong, Preprocess())


def test_an_extremely_wide_frame_costs_no_more_than_its_middle() -> None:
    given = frames(1, 2, 4096)
    result = preprocess_frames(given, Preprocess(height=224, width=224))
    assert torch.equal(result, preprocess_frames(given[:, :, 2032:2064], Preprocess(height=224, width=224)))
