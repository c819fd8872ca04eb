"""One pass over the files: what each is, what is wrong with it, a thumbnail, and what near-duplicate search needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from videoclf.data.dataset import LabelledClip
from videoclf.data_check.motion_fingerprint import CHANGE_FPS, COMPARED_SECONDS, Signature, make_signature, shrink
from videoclf.errors import MediaError
from videoclf.media.frames import UInt8Array, VideoInfo
from videoclf.media.options import DEFAULT_NUM_THREADS, DEFAULT_READ_OPTIONS, ReadOptions
from videoclf.media.reader import Chunks, ClipRequest, ReadWindow, read_clips
from videoclf.media.thumbnail import thumbnail

SURVEY_FPS = 2 * CHANGE_FPS
"""Moments a second that are asked for: the reader then decodes a file to its last 1/15 s, and turns no more frames into
RGB than that."""

_THUMBNAIL_LONG_SIDE_PX = 128


@dataclass(frozen=True, repr=False)
class SurveyedClip:
    """One clip as it was found."""

    clip: LabelledClip
    size_bytes: int
    """0 where there is no file."""
    info: VideoInfo | None
    """None where the file could not be opened."""
    failure: MediaError | None
    """Why it gives no frames, or not the rest of them."""
    warnings: tuple[str, ...]
    """What the reader passed over, where it does give frames."""
    num_moments: int
    """Moments that were served, at `SURVEY_FPS`."""
    thumbnail: bytes
    """A JPEG of its middle; empty where there are no frames."""
    signature: Signature | None
    """None where there are no frames, or where none was wanted."""

    @property
    def is_usable(self) -> bool:
        """Whether it can be trained on."""
        return self.failure is None

    def __repr__(self) -> str:
        return f"SurveyedClip({self.clip.path}: {self.failure or self.info})"


@dataclass(frozen=True)
class _Seen:
    """What the transform makes of one window."""

    num_moments: int
    thumbnail: bytes
    signature: Signature | None


def survey(
    clips: Sequence[LabelledClip],
    *,
    num_threads: int = DEFAULT_NUM_THREADS,
    has_signatures: bool = True,
    reading: ReadOptions = DEFAULT_READ_OPTIONS,
    on_clip: Callable[[SurveyedClip], object] = lambda _clip: None,
) -> list[SurveyedClip]:
    """Decode every clip from its beginning to its end.

    Args:
        clips: what to look at.
        num_threads: videos decoded at once.
        has_signatures: whether to make signatures; without, it is a little faster and takes less memory.
        reading: who decodes, and how.
        on_clip: called after each, in order.
    """
    requests = [ClipRequest(clip.path, SURVEY_FPS, round(COMPARED_SECONDS * SURVEY_FPS)) for clip in clips]
    looker = _look_and_sign if has_signatures else _look
    found: list[SurveyedClip] = []
    seen: list[_Seen] = []
    for item in read_clips(requests, looker, num_threads=num_threads, options=reading):
        if isinstance(item, ReadWindow):
            seen.append(item.value)
            continue
        clip = clips[item.request_index]
        found.append(
            SurveyedClip(
                clip=clip,
                size_bytes=_size_bytes(clip),
                info=item.info,
                failure=item.failure,
                warnings=item.warnings,
                num_moments=sum(window.num_moments for window in seen),
                thumbnail=seen[len(seen) // 2].thumbnail if seen else b"",
                signature=seen[0].signature if seen else None,
            )
        )
        seen = []
        on_clip(found[-1])
    return found


def _size_bytes(clip: LabelledClip) -> int:
    try:
        return clip.path.stat().st_size
    except (OSError, ValueError):
        return 0  # the reader has said what is wrong with it


def _look(chunks: Chunks) -> _Seen:
    num_moments, picture = 0, b""
    for chunk in chunks:
        num_moments += len(chunk)
        picture = picture or thumbnail(chunk.rgb[len(chunk) // 2], long_side_px=_THUMBNAIL_LONG_SIDE_PX)
    return _Seen(num_moments, picture, None)


def _look_and_sign(chunks: Chunks) -> _Seen:
    pictures: list[UInt8Array] = []
    picture = b""
    num_moments = 0
    for chunk in chunks:
        picture = picture or thumbnail(chunk.rgb[len(chunk) // 2], long_side_px=_THUMBNAIL_LONG_SIDE_PX)
        pictures += [shrink(rgb) for rgb in chunk.rgb[num_moments % 2 :: 2]]
        num_moments += len(chunk)
    return _Seen(num_moments, picture, make_signature(np.stack(pictures)))
