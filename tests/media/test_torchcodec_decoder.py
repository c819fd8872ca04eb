"""TorchCodec as the third decoder: what is told where it cannot be had. (What it reads: in the tests of all.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import write_clip
from videoclf.errors import DeviceUnavailableError
from videoclf.media.options import DecoderName, ReadOptions
from videoclf.media.video import read_video


def test_without_ffmpeg_that_is_what_is_said_and_not_that_the_file_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 0.17 on TorchCodec can be imported without it, and complains only when a file is opened."""
    torchcodec = pytest.importorskip("torchcodec", exc_type=(ImportError, RuntimeError, OSError))  # type: ignore[arg-type]
    monkeypatch.setattr(torchcodec, "ffmpeg_major_version", None, raising=False)
    with pytest.raises(
        DeviceUnavailableError, match=r"decoder='torchcodec'\): does not find FFmpeg's libraries .*; install"
    ):
        read_video(write_clip(tmp_path / "clip.mp4", 8), fps=8, options=ReadOptions(decoder=DecoderName.TORCHCODEC))
