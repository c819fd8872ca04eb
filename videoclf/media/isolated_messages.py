"""The messages between a reader and a decoding child, and their conversion to JSON and back.

    reader                      child
                                Ready
    OpenRequest                 Opened
    FramesRequest (times)     FrameHead (pixels) ... Ended
    CloseRequest                Closed

Failed, OutOfMemory or Bug may come instead of any answer about a clip, and is then the last one. A CloseRequest may
cross with it.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from videoclf.media.frames import VideoInfo
from videoclf.media.options import ReadOptions


@dataclass(frozen=True)
class OpenRequest:
    """Open a video, as `Video` does."""

    path: Path
    folder: Path
    """The folder that a relative path starts from."""
    options: ReadOptions
    num_threads: int


@dataclass(frozen=True)
class FramesRequest:
    """Send the frames of a plan, whose sample times are the payload (float64)."""

    fps: float


@dataclass(frozen=True)
class CloseRequest:
    """Stop and close the video."""


@dataclass(frozen=True)
class Ready:
    """The child has started."""


@dataclass(frozen=True)
class Opened:
    """The video is open."""

    info: VideoInfo
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class FrameHead:
    """The next frame, whose pixels are the payload: ``height×width×3`` uint8."""

    pts_seconds: float
    height: int
    width: int
    is_repeated: bool
    """The frame is the same as the one before; its pixels are not sent again."""
    warnings: tuple[str, ...] | None
    """None: the same as before."""


@dataclass(frozen=True)
class Ended:
    """There are no more frames."""

    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Closed:
    """The video is closed, and the child is ready for the next one."""

    is_bloated: bool
    """The child uses far more memory than at its start and should be replaced."""


@dataclass(frozen=True)
class Failed:
    """A `VideoclfError` was raised."""

    error_type: str
    reason: str
    source: str | None
    hint: str


@dataclass(frozen=True)
class OutOfMemory:
    """The limit on memory was reached."""


@dataclass(frozen=True)
class Bug:
    """Any other exception was raised."""

    traceback: str


Message: TypeAlias = (
    OpenRequest | FramesRequest | CloseRequest
    | Ready | Opened | FrameHead | Ended | Closed | Failed | OutOfMemory | Bug
)  # fmt: skip

_hints: Callable[[Any], dict[str, Any]] = functools.cache(get_type_hints)

_KINDS = {kind.__name__: kind for kind in get_args(Message)}


def to_plain(message: Message) -> dict[str, Any]:
    """Convert a message to plain values for `json.dumps`."""
    return {"kind": type(message).__name__, **_plain(message)}


def from_plain(plain: object) -> Message:
    """Convert the result of `to_plain` back to a message.

    Raises:
        ValueError: it is not a message, or a field is missing, unknown, or of another type.
    """
    kind = plain.pop("kind", None) if isinstance(plain, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"{plain!r:.80} is not a message")
    message: Message = _typed(_KINDS[kind], plain)
    return message


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in _hints(type(value))}
    return str(value) if isinstance(value, Path) else value


def _typed(kind: Any, value: Any) -> Any:
    if get_origin(kind) in {Union, types.UnionType}:
        return _typed_union(get_args(kind), value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_typed(get_args(kind)[0], item) for item in value)
    if hasattr(kind, "__dataclass_fields__") and isinstance(value, dict):
        hints = _hints(kind)
        if value.keys() != hints.keys():
            raise ValueError(f"{kind} with the fields {sorted(value)}")
        return kind(**{name: _typed(hints[name], item) for name, item in value.items()})
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and issubclass(kind, StrEnum | Path) and type(value) is str:
        return kind(value)
    if type(value) is not kind:  # not isinstance: True is no int here
        raise ValueError(f"{value!r:.80} is not of type {kind}")
    return value


def _typed_union(kinds: tuple[Any, ...], value: object) -> Any:
    for kind in kinds:
        try:
            return _typed(kind, value)
        except ValueError:
            continue
    raise ValueError(f"{value!r:.80} is not of the types {kinds}")
