"""The trial that kernels stand before they are used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from videoclf.kernels import preprocess
from videoclf.kernels import temporal_shift as motion
from videoclf.kernels.preprocess_reference import preprocess_reference
from videoclf.kernels.self_test import try_kernels


def test_what_is_right_passes(device: str) -> None:
    assert try_kernels(torch.device(device)) is None


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_what_preprocesses_wrongly_is_named(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(preprocess, "launch", lambda _p, _t, out, *_a, **_k: out.fill_(value))
    assert try_kernels(torch.device("cpu")) == "preprocess"


def test_what_shifts_wrongly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(pixels: Tensor, table_FK: Tensor, out: Tensor, *plain: tuple[float, ...], is_yuv: bool) -> None:
        out.copy_(preprocess_reference(pixels, table_FK, 9, 13, *plain))  # type: ignore[arg-type]

    monkeypatch.setattr(preprocess, "launch", launch)
    monkeypatch.setattr(motion, "launch", lambda maps, _n, out: out.copy_(maps))
    assert try_kernels(torch.device("cpu")) == "temporal_shift"
