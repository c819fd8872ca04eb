"""Scans the files once: properties, damage, a thumbnail, and the fingerprint for the near-duplicate search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from videoclf.data.dataset import LabelledClip
from videoclf.data_check.motion_fingerprint import (
    CHANGE_FPS,
    COMPARED_SECONDS,
    MotionFingerprint,
    make_fingerprint,
    shrink,
)
from videoclf.errors import MediaError
from videoclf.media.frames import UInt8Array, VideoInfo
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import Chunks, ClipRequest, ReadWindow, read_clips
from videoclf.media.thumbnail import thumbnail

SCAN_FPS = 2 * CHANGE_FPS
"""Requested frames a second: the reader decodes a file to its last 1/15 s, and converts no more frames than these to
RGB."""

_THUMBNAIL_LONG_SIDE_PX = 128


@dataclass(frozen=True, repr=False)
class ScannedClip:
    """The result of scanning one clip."""

    clip: LabelledClip
    size_bytes: int
    """0 if there is no file."""
    info: VideoInfo | None
    """None if the file could not be opened."""
    failure: MediaError | None
    """Why it gives no frames, or not all of them."""
    warnings: tuple[str, ...]
    """What the reader skipped, if the clip gives frames."""
    num_samples: int
    """The number of frames that the reader gave, at `SCAN_FPS`."""
    thumbnail: bytes
    """A JPEG of a frame from the middle; empty if there are no frames."""
    fingerprint: MotionFingerprint | None
    """None if there are no frames, or if fingerprints are not needed."""

    @property
    def is_usable(self) -> bool:
        """Whether it can be used for training."""
        return self.failure is None

    def __repr__(self) -> str:
        return f"ScannedClip({self.clip.path}: {self.failure or self.info})"


@dataclass(frozen=True)
class _ScannedWindow:
    """The transform's result for one window."""

    num_samples: int
    thumbnail: bytes
    fingerprint: MotionFingerprint | None


def scan(
    clips: Sequence[LabelledClip],
    *,
    num_threads: int = DEFAULT_NUM_THREADS,
    with_fingerprints: bool = True,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    on_clip: Callable[[ScannedClip], object] = lambda _clip: None,
) -> list[ScannedClip]:
    """Decode every clip from beginning to end.

    Args:
        clips: the clips to scan.
        num_threads: number of videos decoded at the same time.
        with_fingerprints: whether to compute fingerprints. Without them, it is slightly faster and takes less memory.
        reading: the decoder and its options.
        on_clip: called after each clip, in order.
    """
    requests = [ClipRequest(clip.path, SCAN_FPS, round(COMPARED_SECONDS * SCAN_FPS)) for clip in clips]
    transform = _scan_with_fingerprint if with_fingerprints else _scan_only
    found: list[ScannedClip] = []
    seen: list[_ScannedWindow] = []
    for item in read_clips(requests, transform, num_threads=num_threads, options=reading):
        if isinstance(item, ReadWindow):
            seen.append(item.value)
            continue
        clip = clips[item.request_index]
        found.append(
            ScannedClip(
                clip=clip,
                size_bytes=_size_bytes(clip),
                info=item.info,
                failure=item.failure,
                warnings=item.warnings,
                num_samples=sum(window.num_samples for window in seen),
                thumbnail=seen[len(seen) // 2].thumbnail if seen else b"",
                fingerprint=seen[0].fingerprint if seen else None,
            )
        )
        seen = []
        on_clip(found[-1])
    return found


def _size_bytes(clip: LabelledClip) -> int:
    try:
        return clip.path.stat().st_size
    except (OSError, ValueError):
        return 0  # the reader reports why


def _scan_only(chunks: Chunks) -> _ScannedWindow:
    num_samples, picture = 0, b""
    for chunk in chunks:
        num_samples += len(chunk)
        picture = picture or thumbnail(chunk.rgb[len(chunk) // 2], long_side_px=_THUMBNAIL_LONG_SIDE_PX)
    return _ScannedWindow(num_samples, picture, None)


def _scan_with_fingerprint(chunks: Chunks) -> _ScannedWindow:
    pictures: list[UInt8Array] = []
    picture = b""
    num_samples = 0
    for chunk in chunks:
        picture = picture or thumbnail(chunk.rgb[len(chunk) // 2], long_side_px=_THUMBNAIL_LONG_SIDE_PX)
        pictures += [shrink(rgb) for rgb in chunk.rgb[num_samples % 2 :: 2]]
        num_samples += len(chunk)
    return _ScannedWindow(num_samples, picture, make_fingerprint(np.stack(pictures)))
