"""What comes from a child is checked: it may have been taken over."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from videoclf.media.frames import VideoInfo
from videoclf.media.isolated_messages import (
    Closed,
    Ended,
    FrameHead,
    FramesRequest,
    Message,
    Opened,
    OpenRequest,
    from_plain,
    to_plain,
)
from videoclf.media.isolated_wire import Wire
from videoclf.media.limits import Limits
from videoclf.media.options import Picking, ReadOptions

HEAD = FrameHead(pts_seconds=0.5, height=2, width=3, is_repeated=False, warnings=None)
INFO = VideoInfo(Path("a\udcff.avi"), "h264", 160, 120, 90, 0.0, 2.0, 25.0, None)


@pytest.fixture
def ends() -> Iterator[tuple[Wire, int]]:
    """A wire that does not block, and the descriptor that writes what it reads."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    yield Wire(read_fd, write_fd), write_fd
    os.close(read_fd)
    os.close(write_fd)


@pytest.mark.parametrize(
    "message",
    [
        OpenRequest(Path("a.avi"), Path("/"), ReadOptions(picking=Picking.FAST, limits=Limits(max_streams=3)), 1),
        FramesRequest(8.0),
        Opened(INFO, ("cut short",)),
        Opened(replace(INFO, has_variable_fps=True), ()),
        HEAD,
        replace(HEAD, warnings=("damaged",)),
        Ended(()),
        Closed(is_bloated=True),
    ],
)
def test_messages_come_back_equal(message: Message) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(message)))) == message


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Nothing"}, {"kind": ["FrameHead"]}, {"pts_seconds": "0"}, {"height": 2.0}, {"height": True},
        {"is_repeated": 1}, {"warnings": "damaged"}, {"warnings": [1]}, {"more": 1},
    ],
)  # fmt: skip
def test_other_types_and_fields_are_no_message(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is no|is none of|with the fields"):
        from_plain(to_plain(HEAD) | change)


@pytest.mark.parametrize("content", [b"[" * 50_000, b"[]", b"{}", b"{", b"\xff", b"null"])
def test_other_json_is_no_message(ends: tuple[Wire, int], content: bytes) -> None:
    wire, write_fd = ends
    os.write(write_fd, struct.pack(">IQ", len(content), 0) + content)
    with pytest.raises(ValueError, match=r"message|JSON|Expecting|decode"):
        wire.receive(0)


def test_a_huge_message_is_not_read(ends: tuple[Wire, int]) -> None:
    wire, write_fd = ends
    os.write(write_fd, struct.pack(">IQ", 1 << 30, 0))
    with pytest.raises(ValueError, match="a message of 1073741824 bytes"):
        wire.receive(0)


def test_pixels_arrive_as_they_were(ends: tuple[Wire, int]) -> None:
    wire, _ = ends
    rgb = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    wire.send(HEAD, rgb.data)
    assert wire.receive(0) == (HEAD, 18)
    assert np.array_equal(wire.read_array((2, 3, 3), np.uint8, 0), rgb)


def test_a_payload_can_be_skipped(ends: tuple[Wire, int]) -> None:
    wire, _ = ends
    wire.send(HEAD, memoryview(bytes(1000)))
    wire.send(Ended(()))
    wire.skip(wire.receive(0)[1], 0)
    assert wire.receive(0) == (Ended(()), 0)


def test_a_message_that_trickles_in_is_not_waited_for_beyond_the_deadline(ends: tuple[Wire, int]) -> None:
    wire, write_fd = ends
    os.write(write_fd, b"\x00\x00")
    with pytest.raises(TimeoutError):
        wire.receive(time.monotonic() + 0.05)
