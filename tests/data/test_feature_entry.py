"""An entry's file: what was written comes back, and nothing else ever does."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from tests.data.features import FEATURES, KEY, steps
from videoclf.data.feature_entry import ClipFeatures, EntryDamagedError, Float32Array, pack, read_array, read_layout

PACKED = pack(KEY, FEATURES)


def read(content: bytes) -> tuple[tuple[int, ...], list[Float32Array]]:
    file = BytesIO(content)
    layout = read_layout(file, KEY)
    return layout.num_frames, [read_array(file, place) for place in layout.places]


def test_what_was_packed_comes_back() -> None:
    num_frames, arrays = read(PACKED)
    assert num_frames == (10, 8)
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(arrays, FEATURES.windows, strict=True))


def test_the_file_is_safetensors() -> None:
    assert {name: array.shape for name, array in load(PACKED).items()} == {"0": (5, 4), "1": (4, 4)}


def test_equal_features_give_equal_bytes() -> None:
    assert pack(KEY, FEATURES) == PACKED


@given(position=st.integers(0, 8 * len(PACKED) - 1))
def test_no_flipped_bit_passes(position: int) -> None:
    content = bytearray(PACKED)
    content[position // 8] ^= 1 << position % 8
    with pytest.raises(EntryDamagedError):
        read(bytes(content))


@given(num_bytes=st.integers(0, len(PACKED) - 1))
def test_no_torn_file_passes(num_bytes: int) -> None:
    with pytest.raises(EntryDamagedError):
        read(PACKED[:num_bytes])


@given(content=st.binary(max_size=200))
def test_no_foreign_file_passes(content: bytes) -> None:
    with pytest.raises(EntryDamagedError):
        read(content)


@pytest.mark.parametrize(
    "content",
    [
        PACKED + b"\0",
        save({"0": steps(5)}),
        save({"0": steps(5)}, metadata={"videoclf_features": "[]"}),
        pack(replace(KEY, content_sha256="00" * 32), FEATURES),
        (2**63).to_bytes(8, "little"),
    ],
    ids=["longer", "no metadata", "other metadata", "another key", "claims to be huge"],
)
def test_what_is_not_the_entry_asked_for_is_refused(content: bytes) -> None:
    with pytest.raises(EntryDamagedError):
        read(content)


@pytest.mark.parametrize(
    "windows",
    [
        (),
        (np.zeros(3, np.float32),),
        (np.zeros((0, 3), np.float32),),
        (np.zeros((2, 3), np.float16),),
    ],
)
def test_what_are_no_features_is_refused(windows: tuple[Float32Array, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ClipFeatures(windows, (2,) * len(windows))


def test_each_window_has_a_number_of_frames() -> None:
    with pytest.raises(ValueError, match="got 2 windows and 1 numbers"):
        ClipFeatures((steps(2), steps(2)), (2,))
