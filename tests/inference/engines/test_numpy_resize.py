from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoclf.inference.engines.numpy_resize import resize_frames
from videoclf.modeling.preprocess import preprocess_frames
from videoclf.recipe.preprocess import Preprocess

STRETCHED = Preprocess(height=32, width=40, fit="stretch")
CROPPED = Preprocess(height=32, width=40, fit="crop", crop_margin=1.143)


def difference(height: int, width: int, spec: Preprocess) -> float:
    """From torch's, of 255."""
    rgb = np.random.default_rng(height * width).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    expected = preprocess_frames(torch.from_numpy(rgb), spec).numpy()
    return 255 * float(np.abs(resize_frames(rgb, spec) - expected).max())


@pytest.mark.parametrize("spec", [STRETCHED, CROPPED], ids=["stretched", "cropped"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (32, 40), (144, 180), (361, 641), (3, 900), (900, 3)])
def test_it_is_torchs_resize(size: tuple[int, int], spec: Preprocess) -> None:
    assert difference(*size, spec) < 4e-3


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(["stretch", "crop"]))
def test_it_is_torchs_at_any_size(height: int, width: int, fit: str) -> None:
    assert difference(height, width, Preprocess(height=17, width=23, fit=fit)) < 4e-3


def test_a_white_frame_stays_white() -> None:
    white = np.full((1, 50, 70, 3), 255, dtype=np.uint8)
    assert np.allclose(resize_frames(white, CROPPED), 1, atol=1e-6)
