"""The exact versions of decoders, which frames may depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import av

from videoclf.media.options import DecoderName

_LIBRARIES = ("libavformat", "libavcodec", "libswscale")


def decoder_version(name: DecoderName) -> str:
    """A decoder with its libraries, such as ``av 18.1.0, libavformat 62.3.100, ...``; PyAV opens every file."""
    numbers = {library: ".".join(map(str, av.library_versions[library])) for library in _LIBRARIES}
    parts = [f"av {av.__version__}", *(f"{library} {number}" for library, number in numbers.items())]
    if name is DecoderName.OPENCV:
        import cv2

        parts.append(f"opencv {cv2.__version__}")
    elif name is DecoderName.TORCHCODEC:
        try:
            parts.append(f"torchcodec {version('torchcodec')}")
        except PackageNotFoundError:  # the decoder itself says what to install
            parts.append("torchcodec missing")
    return ", ".join(parts)
