"""The right frame, from codecs and containers as they are. Frames carry their number in their pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import read_number, write_clip, write_sound
from videoclf.errors import DecodeFailedError, NoVideoStreamError, SourceRefusedError
from videoclf.media.limits import Limits
from videoclf.media.video import Video, probe, read_video


def numbers(path: Path, fps: float) -> list[int]:
    return [read_number(rgb) for rgb in read_video(path, fps=fps).rgb]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("clip.avi", "mpeg4", {}),
        ("clip.mp4", "mpeg4", {"bf": "2"}),
        ("clip.mp4", "libx264", {"bf": "3", "g": "20"}),
        ("clip.mkv", "libx264", {"bf": "3"}),
        ("clip.mkv", "libx265", {"x265-params": "log-level=error"}),
        ("clip.webm", "libvpx-vp9", {}),
        ("clip.ts", "mpeg2video", {"bf": "2"}),
        ("clip.flv", "flv1", {}),
        ("clip.mov", "mjpeg", {}),
    ],
)
def test_the_frame_on_display_is_taken(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    pixel_format = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = write_clip(tmp_path / name, 50, fps=25, codec=codec, options=options, pixel_format=pixel_format)
    # moment k lies at k/10 s; the frame on display there is the last that began by then: floor(2.5 k)
    assert numbers(clip, fps=10) == [k * 25 // 10 for k in range(20)]


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4", "clip.mkv"])
@pytest.mark.parametrize("fps", [24, 25, 30, 12])
def test_sampling_at_a_files_own_rate_takes_every_frame_once(tmp_path: Path, name: str, fps: int) -> None:
    assert numbers(write_clip(tmp_path / name, 30, fps=fps), fps=fps) == list(range(30))


def test_sampling_at_half_a_files_rate_takes_every_second_frame_though_matroska_rounds_its_stamps(
    tmp_path: Path,
) -> None:
    assert numbers(write_clip(tmp_path / "clip.mkv", 60, fps=30), fps=15) == list(range(0, 60, 2))


def test_a_variable_frame_rate_does_not_change_which_moment_is_looked_at(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "clip.mp4", 5, codec="libx264", pts=[0, 10, 50, 60, 100], time_base=Fraction(1, 100)
    )  # shown at 0, 0.1, 0.5, 0.6 and 1.0 s
    frames = read_video(clip, fps=10)
    assert [read_number(rgb) for rgb in frames.rgb][:11] == [0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4]
    assert probe(clip).has_variable_fps


def test_a_slow_video_repeats_frames_and_says_how_many(tmp_path: Path) -> None:
    frames = read_video(write_clip(tmp_path / "clip.avi", 4, fps=2), fps=8)
    assert [read_number(rgb) for rgb in frames.rgb] == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert frames.num_repeated == 12


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_applied(tmp_path: Path, rotation: int) -> None:
    upright = read_video(write_clip(tmp_path / "upright.mp4", 5), fps=25).rgb
    turned = read_video(write_clip(tmp_path / "turned.mp4", 5, rotation=rotation), fps=25)
    assert np.array_equal(turned.rgb, np.rot90(upright, k=rotation // 90, axes=(1, 2)))


def test_probing_tells_size_rate_and_length(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "clip.mp4", 50, fps=25))
    assert (info.codec, info.width, info.height, info.rotation_degrees) == ("mpeg4", 160, 32, 0)
    assert info.duration_seconds == pytest.approx(2.0)
    assert info.average_fps == pytest.approx(25)
    assert info.has_variable_fps is False


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    assert numbers(write_clip(tmp_path / "clip.avi", 1), fps=8) == [0]


def test_reading_may_stop_early(tmp_path: Path) -> None:
    assert len(read_video(write_clip(tmp_path / "clip.avi", 50), fps=25, max_frames=3)) == 3


def test_a_truncated_file_gives_its_good_frames_and_says_so(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.avi", 300).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    frames = read_video(tmp_path / "cut.avi", fps=25)
    assert 50 < len(frames) < 250
    assert [read_number(rgb) for rgb in frames.rgb[:-1]] == list(range(len(frames) - 1))
    assert "cut short or damaged" in frames.warnings[0]


def test_a_damaged_stretch_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 100, codec="libx264", options={"g": "5", "bf": "0"})
    content = bytearray(clip.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    clip.write_bytes(content)
    frames = read_video(clip, fps=25)
    assert 80 < len(frames) < 100
    assert any("damaged packets were skipped" in warning for warning in frames.warnings)


def test_a_file_cut_before_its_index_names_itself_and_a_remedy(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 50)
    clip.write_bytes(clip.read_bytes()[:400])
    with pytest.raises(DecodeFailedError, match=r"clip\.mp4: looks like mov, but cannot be opened .*copy it again"):
        read_video(clip, fps=8)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(NoVideoStreamError, match=r"has no video stream \(it contains audio\)"):
        read_video(write_sound(tmp_path / "clip.mp4"), fps=8)


def test_frames_over_the_limit_are_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", 3)
    with pytest.raises(SourceRefusedError, match="160×32, more than the 1,000 pixels allowed"):
        probe(clip, limits=Limits(max_pixels_per_frame=1000))


def test_videos_over_the_limit_are_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 50)
    with pytest.raises(SourceRefusedError, match="lasts 2 s by its timestamps, more than the 1 s allowed"):
        probe(clip, limits=Limits(max_duration_seconds=1))


def test_the_repr_shows_shapes_not_pixels(tmp_path: Path) -> None:
    frames = read_video(write_clip(tmp_path / "clip.avi", 3), fps=25)
    assert repr(frames) == f"RgbFrames({tmp_path}/clip.avi: 3 frames of 160×32, 0 repeated)"


def test_real_clips_with_packed_b_frames_show_every_frame_equally_long(shared_data: Path) -> None:
    with Video(shared_data / "ut_interaction/hug/v_hug_g01_c002.avi") as video:
        pts_seconds = [frame.pts_seconds for frame in video.frames(video.plan(30))]
    assert np.allclose(np.diff(pts_seconds), 1 / 30)


def test_three_frames_in_a_day_are_no_video(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3, codec="libx264", pts=[0, 1, 8_000_000], time_base=Fraction(1, 100))
    with pytest.raises(SourceRefusedError, match="less often than one in 600 s"):
        read_video(clip, fps=8)
