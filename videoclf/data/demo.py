"""Renders a small UCF101-style dataset whose classes differ only in the order of events.

A disc appears at the four corners of the frame, one after the other. Every class visits the same four places equally
often and for varying times; only the order differs. A classifier that looks at single frames, or ignores their order,
can therefore do no better than chance: anything beyond that is due to the recurrent part.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videoclf.errors import DeviceUnavailableError, RunFolderUnusableError, one_line
from videoclf.files import refuse_to_replace
from videoclf.media.frames import UInt8Array

_TOP_LEFT, _TOP_RIGHT, _BOTTOM_RIGHT, _BOTTOM_LEFT = (0.27, 0.27), (0.73, 0.27), (0.73, 0.73), (0.27, 0.73)

ORDERS: dict[str, tuple[tuple[float, float], ...]] = {
    "Clockwise": (_TOP_LEFT, _TOP_RIGHT, _BOTTOM_RIGHT, _BOTTOM_LEFT),
    "Counterclockwise": (_TOP_LEFT, _BOTTOM_LEFT, _BOTTOM_RIGHT, _TOP_RIGHT),
    "ZigzagAcross": (_TOP_LEFT, _TOP_RIGHT, _BOTTOM_LEFT, _BOTTOM_RIGHT),
    "ZigzagDown": (_TOP_LEFT, _BOTTOM_LEFT, _TOP_RIGHT, _BOTTOM_RIGHT),
}
"""Each class's cycle of positions (x, y as shares of the frame); a clip starts anywhere in it."""

NUM_GROUPS = 12
NUM_CLIPS_PER_GROUP = 6
"""Number of clips per group and class."""

_SIZES = ((96, 96), (128, 96), (112, 112), (160, 120), (120, 160), (144, 96))
_VISITS = (5, 9)
_VISIT_SECONDS = (0.35, 0.6)


@dataclass(frozen=True)
class _Look:
    """What the clips of one group share, as clips of one place and camera would."""

    width: int
    height: int
    fps: int
    background: UInt8Array
    colour: tuple[int, int, int]
    radius: int


def render_demo_data(
    folder: Path, *, seed: int = 0, overwrite: bool = False, on_clip: Callable[[], object] = lambda: None
) -> int:
    """Render ``folder/CLASS/v_CLASS_gNN_cMM.avi`` (and ``.mp4``): 4 classes, 12 groups, 288 clips.

    Args:
        folder: created if it does not exist.
        seed: the same seed gives the same clips.
        overwrite: whether files of the same names may be replaced.
        on_clip: called after each clip.

    Returns:
        The number of clips written.

    Raises:
        RunFolderUnusableError: the folder cannot be written, or contains such files or others.
        DeviceUnavailableError: OpenCV, which draws the clips, cannot be imported.
    """
    cv2 = _import_opencv()
    clips = [folder / label / _name(label, group, clip) for label, group, clip in _all_clips()]
    refuse_to_replace(*clips, overwrite=overwrite)
    strange = sorted(path.name for path in folder.iterdir() if path.name not in ORDERS) if folder.is_dir() else []
    if strange:
        raise RunFolderUnusableError(
            f"contains other files, such as {strange[0]}", source=folder, hint="choose a new or empty folder"
        )
    try:
        for label in ORDERS:
            (folder / label).mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(2) as pool:  # encoding releases the GIL
            jobs = [pool.submit(_render_group, folder, group, seed, cv2, on_clip) for group in range(1, NUM_GROUPS + 1)]
            return sum(job.result() for job in jobs)
    except (OSError, av.error.FFmpegError) as error:
        reason = one_line(error.strerror or error)
        raise RunFolderUnusableError(
            f"cannot be written ({reason})", source=folder, hint="free some space or choose another folder"
        ) from error


def _all_clips() -> Iterator[tuple[str, int, int]]:
    """Class, group and number of each."""
    return itertools.product(ORDERS, range(1, NUM_GROUPS + 1), range(1, NUM_CLIPS_PER_GROUP + 1))


def _name(label: str, group: int, clip: int) -> str:
    return f"v_{label}_g{group:02}_c{clip:02}{'.avi' if group % 2 else '.mp4'}"


def _import_opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise DeviceUnavailableError(
            f"OpenCV cannot be imported ({one_line(error)})",
            hint="install what it needs (Debian: apt-get install libgl1 libglib2.0-0), or: pip install "
            "opencv-python-headless",
        ) from error
    return cv2


def _render_group(folder: Path, group: int, seed: int, cv2: Any, on_clip: Callable[[], object]) -> int:
    rng = np.random.default_rng([seed, group])
    look = _draw_look(rng, group, cv2)
    num_clips = 0
    for clip in range(1, NUM_CLIPS_PER_GROUP + 1):
        for label, places in ORDERS.items():
            path = folder / label / _name(label, group, clip)
            _encode(path, _draw_frames(places, look, rng, cv2), look)
            on_clip()
            num_clips += 1
    return num_clips


def _draw_look(rng: np.random.Generator, group: int, cv2: Any) -> _Look:
    width, height = _SIZES[group % len(_SIZES)]
    coarse = rng.integers(20, 140, (4, 5, 3), dtype=np.uint8)
    background = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    bright = rng.integers(170, 256, 3)
    return _Look(
        width=width,
        height=height,
        fps=int(rng.choice([12, 15, 20, 25])),
        background=background,
        colour=(int(bright[0]), int(bright[1]), int(bright[2])),
        radius=round(min(width, height) * rng.uniform(0.12, 0.17)),
    )


def _draw_frames(
    places: tuple[tuple[float, float], ...], look: _Look, rng: np.random.Generator, cv2: Any
) -> Iterator[UInt8Array]:
    """``H×W×3`` frames of one clip: one round after the other, a random time at each place."""
    start = rng.integers(len(places))
    for visit in range(rng.integers(_VISITS[0], _VISITS[1] + 1)):
        x, y = places[(start + visit) % len(places)]
        centre = (
            round((x + rng.uniform(-0.04, 0.04)) * look.width),
            round((y + rng.uniform(-0.04, 0.04)) * look.height),
        )
        picture = cv2.circle(look.background.copy(), centre, look.radius, look.colour, -1, cv2.LINE_AA)
        for _ in range(round(rng.uniform(*_VISIT_SECONDS) * look.fps)):
            noise = rng.integers(-4, 5, picture.shape, dtype=np.int16)
            yield np.clip(picture + noise, 0, 255).astype(np.uint8)


def _encode(path: Path, frames: Iterator[UInt8Array], look: _Look) -> None:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=Fraction(look.fps))
        stream.width, stream.height, stream.pix_fmt = look.width, look.height, "yuv420p"
        stream.bit_rate = 600_000
        stream.codec_context.thread_count = 1
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
