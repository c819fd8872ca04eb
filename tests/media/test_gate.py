"""The gate: content decides, and nothing that names other files gets through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from av.format import ContainerFormat

from tests.conftest import write_clip
from videoclf.errors import DecodeFailedError, SourceMissingError, SourceRefusedError
from videoclf.media import container, damage, pyav_stream, torchcodec_decoder
from videoclf.media.gate import CONTAINERS, admit
from videoclf.media.video import read_video

CONCAT_SCRIPT = "ffconcat version 1.0\nfile '{}'\n"


@pytest.mark.parametrize(
    ("suffix", "codec", "demuxer"),
    [
        (".avi", "mpeg4", "avi"),
        (".mp4", "mpeg4", "mov"),
        (".mov", "mpeg4", "mov"),
        (".mkv", "mpeg4", "matroska"),
        (".webm", "libvpx-vp9", "matroska"),
        (".ts", "mpeg2video", "mpegts"),
        (".mpg", "mpeg2video", "mpeg"),
        (".flv", "flv1", "flv"),
        (".gif", "gif", "gif"),
        (".h264", "libx264", "h264"),
        (".hevc", "libx265", "hevc"),
        (".m2v", "mpeg2video", "mpegvideo"),
        (".wmv", "wmv2", "asf"),
        (".ivf", "libvpx", "ivf"),
        (".nut", "mpeg4", "nut"),
    ],
)
def test_a_video_is_known_by_its_content_whatever_its_name(
    tmp_path: Path, suffix: str, codec: str, demuxer: str
) -> None:
    pixel_format = "rgb8" if codec == "gif" else "yuv420p"
    clip = write_clip(tmp_path / f"clip{suffix}", 12, codec=codec, pixel_format=pixel_format)
    disguised = clip.rename(tmp_path / "notes.txt")
    assert admit(disguised).demuxer == demuxer
    assert len(read_video(disguised, fps=25).rgb) >= 10


@pytest.mark.parametrize("demuxer", [demuxer for demuxer, _ in CONTAINERS])
def test_every_demuxer_named_is_one_of_ffmpegs(demuxer: str) -> None:
    assert ContainerFormat(demuxer, "r").is_input


def test_what_is_said_of_demuxers_is_said_of_those_that_the_gate_names() -> None:
    said = (
        container._WITHOUT_PRESENTATION_STAMPS
        | pyav_stream._SEEKABLE
        | damage._MARKED_LATE
        | torchcodec_decoder._SOUGHT_BY_BISECTION
    )
    assert said <= {demuxer for demuxer, _ in CONTAINERS}


def test_a_vc1_test_file_is_opened(tmp_path: Path) -> None:
    """No encoder of it is at hand: its one picture is empty."""
    header = "010000c5 04000000 4e291a01 f0000000 40010000 0c000000 00000000 00000000 19000000 64000080 00000000"
    (tmp_path / "clip.rcv").write_bytes(bytes.fromhex(header) + bytes(100))
    with pytest.raises(DecodeFailedError, match=r"no frame of its wmv3 video could be decoded \(not a picture\)"):
        read_video(tmp_path / "clip.rcv", fps=5)


def test_a_concat_script_named_mp4_does_not_read_the_file_it_names(tmp_path: Path) -> None:
    secret = write_clip(tmp_path / "secret.mp4", 10)
    script = tmp_path / "clip.mp4"
    script.write_text(CONCAT_SCRIPT.format(secret))
    with pytest.raises(SourceRefusedError, match="concat script, which names other files"):
        admit(script)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n", "a playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "session description"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "an image"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio without video"),
        (b"just a few words\n", "its content is text"),
        ("ein paar Wörter\n".encode(), "its content is text"),
        (bytes(range(256)), "not a supported video container"),
        (bytes(4096), "not a supported video container"),
    ],
)
def test_what_is_no_video_is_refused_with_its_kind(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceRefusedError, match=reason):
        admit(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(SourceRefusedError, match="the file is empty"):
        admit(tmp_path / "clip.mp4")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match="no such file"):
        admit(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1/clip.mp4", "subfile:,,start,0,end,9,,:clip.mp4", "concat:a|b", "%03d.png"]
)
def test_a_name_in_ffmpegs_own_syntax_is_only_a_file_name(name: str) -> None:
    with pytest.raises(SourceMissingError, match="no such file"):
        admit(Path(name))


def test_a_file_whose_name_looks_like_a_protocol_is_read_as_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.avi", 10).rename("concat:clip.avi")
    assert len(read_video("concat:clip.avi", fps=25).rgb) == 10


def test_a_name_with_a_null_byte_is_refused() -> None:
    with pytest.raises(SourceRefusedError, match="cannot be read"):
        admit(Path("clip\0.mp4"))


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(SourceRefusedError, match="not a regular file"):
        admit(tmp_path / "clip.mp4")


def test_a_folder_is_refused_and_says_whether_it_holds_videos(tmp_path: Path) -> None:
    with pytest.raises(SourceRefusedError, match="a folder that contains no video files"):
        admit(tmp_path)
    write_clip(tmp_path / "clip.avi", 3)
    with pytest.raises(SourceRefusedError, match="a folder that contains video files"):
        admit(tmp_path)


@pytest.mark.parametrize(
    "name", ["rtsp://user:secret@host/x", "http://u:secret@h/clip.mp4", "http://u:p/secret@h/c.mp4"]
)
def test_a_password_in_an_address_is_not_printed(name: str) -> None:
    with pytest.raises(SourceMissingError, match=r"^\w+:/\*\*\*@.*URLs are not opened: download") as failure:
        admit(Path(name))
    assert "secret" not in str(failure.value)
    assert failure.value.__cause__ is None
