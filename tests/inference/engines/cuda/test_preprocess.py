"""Windows prepared on a device are those of the one preprocessing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoclf.inference.engines.cuda.preprocess import Preparation
from videoclf.kernels.preprocess import Output
from videoclf.media.frames import RgbFrames
from videoclf.modeling.preprocess import preprocess_window
from videoclf.recipe.preprocess import Preprocess


@pytest.mark.parametrize("channels", [("rgb",), ("gray_triplet",), ("difference", "rgb", "gray_triplet")])
@pytest.mark.parametrize("lengths", [(1,), (16, 16), (16, 1)])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_a_window_in_chunks_is_what_preprocessing_it_whole_gives(
    channels: tuple[str, ...], lengths: tuple[int, ...], device: str
) -> None:
    spec = Preprocess.model_validate({"height": 32, "width": 48, "crop_margin": 1.143, "channels": channels})
    frames = torch.randint(0, 256, (sum(lengths), 50, 2000, 3), dtype=torch.uint8).numpy()  # with far sides
    chunks = [RgbFrames(part, np.arange(float(len(part))), "x") for part in np.split(frames, np.cumsum(lengths)[:-1])]
    output = Output(32, 48, channels, spec.mean, spec.std)
    notices: list[str] = []
    window = Preparation(spec, output, torch.device(device), notices.append)(iter(chunks))
    assert len(window) == sum(lengths)
    assert notices == []
    found, expected = torch.cat(window.on(torch.device(device))).cpu(), preprocess_window(iter(chunks), spec)
    if device == "cpu":
        assert torch.equal(found, expected)
    else:
        assert float((found - expected).abs().max()) <= 1 / 255 / min(spec.std)
