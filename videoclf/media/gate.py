"""The gate decides by content whether a decoder may open a file, and with which demuxer.

FFmpeg guesses a format from a file's content, and several formats are scripts that name *other* files:
``ffconcat``, HLS and DASH playlists, SDP, image sequences, ``subfile:`` and ``concat:`` names. A text file called
``clip.mp4`` would make PyAV, OpenCV and TorchCodec alike read whatever it lists. So the first bytes are compared with
the supported containers, the demuxer is given by name instead of guessed, and the path is opened through FFmpeg's
``file:`` protocol alone. A refusal is final: no other decoder tries the file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from videoclf.errors import SourceMissingError, SourceRefusedError, one_line
from videoclf.media.sources import is_url, videos_below, without_credentials

_HEAD_BYTES = 4096

_PROBED_BYTES = 1 << 20
"""As much as FFmpeg looks at when it guesses a format."""


@dataclass(frozen=True)
class Admission:
    """A file that may be decoded."""

    path: Path
    demuxer: str
    """FFmpeg's name of the demuxer that its content needs."""

    @property
    def url(self) -> str:
        """The address with which FFmpeg opens the path as a plain file, whatever its name looks like."""
        return f"file:{self.path.absolute()}"


def _starts(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


def _riff(kind: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] == b"RIFF" and head[8:12] == kind


def _is_mov(head: bytes) -> bool:
    return head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid"}


def _is_mpegts(head: bytes) -> bool:
    for packet_bytes, offset in ((188, 0), (192, 4), (204, 0)):
        stamps = head[offset::packet_bytes][:5]
        if len(stamps) >= 3 and set(stamps) == {0x47}:
            return True
    return False


def _start_code(*codes: bytes) -> Callable[[bytes], bool]:
    """An elementary stream: any number of zero bytes, a one, and one of the codes."""

    def matches(head: bytes) -> bool:
        code = head.lstrip(b"\x00")
        return head.startswith(b"\x00\x00") and code[:1] == b"\x01" and code[1:].startswith(codes)

    return matches


def _is_annex_b(nal_types: frozenset[int], *, hevc: bool) -> Callable[[bytes], bool]:
    """H.264 or HEVC without a container: a start code and a parameter set, delimiter or SEI."""

    def matches(head: bytes) -> bool:
        code = head.lstrip(b"\x00")[:2]
        if not head.startswith(b"\x00\x00") or len(code) < 2 or code[0] != 1 or code[1] & 0x80:
            return False
        return ((code[1] >> 1) & 0x3F if hevc else code[1] & 0x1F) in nal_types

    return matches


def _is_dv(head: bytes) -> bool:
    return head[:3] in {b"\x1f\x07\x00", b"\x1f\x07\x80"}


CONTAINERS: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("mov", _is_mov),
    ("matroska", _starts(b"\x1a\x45\xdf\xa3")),
    ("avi", lambda head: _riff(b"AVI ")(head) or _riff(b"AVIX")(head) or _starts(b"ON2 ")(head)),
    ("gif", _starts(b"GIF87a", b"GIF89a")),
    ("flv", _starts(b"FLV\x01")),
    ("asf", _starts(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")),
    ("ogg", _starts(b"OggS")),
    ("rm", _starts(b".RMF", b".RMP")),
    ("ivf", _starts(b"DKIF")),
    ("nut", _starts(b"nut/multimedia container\x00")),
    ("mxf", lambda head: b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02" in head),
    ("yuv4mpegpipe", _starts(b"YUV4MPEG2 ")),
    ("mpegts", _is_mpegts),
    ("mpeg", _start_code(b"\xba")),
    ("mpegvideo", _start_code(b"\xb3")),
    ("m4v", _start_code(b"\xb0", b"\xb5", b"\x00", b"\x20")),
    ("vc1", _start_code(b"\x0f")),
    ("vc1test", lambda head: head[3:8] == b"\xc5\x04\x00\x00\x00"),
    ("h264", _is_annex_b(frozenset({7, 9}), hevc=False)),
    ("hevc", _is_annex_b(frozenset({32, 33, 35}), hevc=True)),
    ("dv", _is_dv),
    ("dfa", _starts(b"DFIA")),
    ("obu", _starts(b"\x12\x00\x0a")),
)

_NOT_VIDEO: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("a playlist", _starts(b"#EXTM3U", b"[playlist]")),
    ("a concat script, which names other files", _starts(b"ffconcat")),
    ("a session description (SDP), which names a network stream", _starts(b"v=0\r\n", b"v=0\n")),
    ("an image (JPEG)", _starts(b"\xff\xd8\xff")),
    ("an image (PNG)", _starts(b"\x89PNG")),
    ("an image (WebP)", _riff(b"WEBP")),
    ("audio without video (WAV)", _riff(b"WAVE")),
    ("audio without video (MP3)", _starts(b"ID3", b"\xff\xfb", b"\xff\xf3")),
    ("audio without video (FLAC)", _starts(b"fLaC")),
    ("a Zip archive", _starts(b"PK\x03\x04")),
)


def admit(path: Path) -> Admission:
    """Admit a file to a decoder, or refuse it.

    Args:
        path: a path of this machine's file system; names such as ``subfile:`` or ``http:`` are looked up as file
            names and are therefore not found.

    Raises:
        SourceMissingError: there is no such file.
        SourceRefusedError: the file is not regular, is empty or unreadable, or is not a supported video container.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if is_url(path):
            raise SourceMissingError(
                "no such file",
                source=without_credentials(path),
                hint="URLs are not opened: download the video first",
            ) from None
        raise SourceMissingError("no such file", source=path, hint="check the path") from error
    except (OSError, ValueError) as error:
        reason = _reason(error)
        name = without_credentials(path)
        raise SourceRefusedError(
            f"cannot be read ({reason})", source=name, hint="check the path and its permissions"
        ) from None
    if stat.S_ISDIR(status.st_mode):
        contains = "contains" if _lists_videos(path) else "contains no"
        raise SourceRefusedError(
            f"is a folder that {contains} video files",
            source=path,
            hint="name a video file, or a folder that contains some",
        )
    if not stat.S_ISREG(status.st_mode):
        raise SourceRefusedError(
            "is not a regular file, but a device, pipe or socket", source=path, hint="save the video to a file first"
        )
    if status.st_size == 0:
        raise SourceRefusedError("the file is empty", source=path, hint="copy or download it again")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceRefusedError(
            f"cannot be read ({_reason(error)})", source=path, hint="check its permissions"
        ) from error
    return Admission(path, _demuxer_for(head, path))


@contextmanager
def opened_by_number(admission: Admission) -> Iterator[str]:
    """Give a neutral name to the open file, for decoders that interpret names (``x%d.png``) or do not accept all of
    them.

    Raises:
        SourceRefusedError: this operating system has no such names, and the file's own name could be interpreted.
    """
    with admission.path.open("rb") as file:
        name = f"/proc/self/fd/{file.fileno()}"
        if not os.path.exists(name):  # noqa: PTH110
            name = str(admission.path.absolute())
            if not name.isascii() or set(name) & set("%*?[]{}|"):
                raise SourceRefusedError(
                    "has a name that this decoder may misread", source=admission.path, hint="rename the file"
                )
        yield name


def refuse_what_could_be_taken_for_a_script(admission: Admission) -> None:
    """Refuse a file that a decoder without a demuxer option could take for a script.

    Most scripts are recognized by their first bytes, and those of an admitted file are a container's. DASH manifests
    and session descriptions (SDP) are recognized anywhere in the beginning of a file.

    Raises:
        SourceRefusedError: the file contains one.
    """
    with admission.path.open("rb") as file:
        head = file.read(_PROBED_BYTES).lower()
    if (b"<mpd" in head and b"dash:profile" in head) or b"\nc=in ip" in head:
        raise SourceRefusedError(
            f"contains a script that names other files or servers, inside a {admission.demuxer} file",
            source=admission.path,
            hint="the file is hostile: do not use it",
        )


def _lists_videos(folder: Path) -> bool:
    try:
        return bool(videos_below(folder))
    except OSError as error:
        raise SourceRefusedError(
            f"is a folder that cannot be read ({_reason(error)})", source=folder, hint="check its permissions"
        ) from error


def _demuxer_for(head: bytes, path: Path) -> str:
    for demuxer, matches in CONTAINERS:
        if matches(head):
            return demuxer
    for kind, matches in _NOT_VIDEO:
        if matches(head):
            raise SourceRefusedError(f"is {kind}, not a video", source=path, hint="name the video file itself")
    reason = "its content is text" if _is_text(head) else "its content is not a supported video container"
    raise SourceRefusedError(
        reason,
        source=path,
        hint="use a video file (MP4, AVI, MKV, WebM, ...), or convert it with: ffmpeg -i IN out.mp4",
    )


def _is_text(head: bytes) -> bool:
    try:
        head[: len(head) - 4 if len(head) == _HEAD_BYTES else None].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\x00" not in head


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or one_line(error)
