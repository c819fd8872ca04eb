"""The trial that kernels stand before they are used."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from videoclf.kernels import launch
from videoclf.kernels.preprocess_reference import preprocess_reference
from videoclf.kernels.self_test import try_kernels


def test_what_is_right_passes(device: str) -> None:
    assert try_kernels(torch.device(device)) is None


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_what_preprocesses_wrongly_is_named(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(launch, "launch_preprocess", lambda _p, _t, out, *_a, **_k: out.fill_(value))
    assert try_kernels(torch.device("cpu")) == "preprocess"


def test_what_shifts_wrongly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(pixels: Tensor, table_FK: Tensor, out: Tensor, *plain: tuple[float, ...], is_yuv: bool) -> None:
        out.copy_(preprocess_reference(pixels, table_FK, 9, 13, *plain))  # type: ignore[arg-type]

    monkeypatch.setattr(launch, "launch_preprocess", start)
    monkeypatch.setattr(launch, "launch_temporal_shift", lambda maps, _n, out: out.copy_(maps))
    assert try_kernels(torch.device("cpu")) == "temporal_shift"
