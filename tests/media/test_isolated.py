"""Decoding in child processes: the same frames; and whatever happens to a child is one line about its video."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.conftest import read_number, write_clip, write_sound
from videoclf.errors import (
    DecodeFailedError,
    DeviceUnavailableError,
    MediaError,
    SourceMissingError,
    SourceRefusedError,
)
from videoclf.media import isolated
from videoclf.media.frames import RgbFrame
from videoclf.media.isolated import IsolatedVideo
from videoclf.media.isolated_pool import ChildPool
from videoclf.media.limits import Limits
from videoclf.media.options import ReadOptions
from videoclf.media.reader import ClipRequest, ReadEnd, read_clips
from videoclf.media.video import Video

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 frames of 15 KB: a child is far from having sent them all when the first is read."""
    return write_clip(tmp_path_factory.mktemp("isolated") / "clip.avi", 300)


def all_frames(video: Video | IsolatedVideo, fps: float = 25) -> tuple[list[RgbFrame], tuple[str, ...]]:
    frames = list(video.frames(video.plan(fps)))
    return frames, video.warnings


def assert_same(path: Path, fps: float = 25) -> None:
    with Video(path) as here, IsolatedVideo(path) as there:
        assert there.info == here.info
        assert np.array_equal(there.plan(fps).timestamps_seconds, here.plan(fps).timestamps_seconds)
        (ours, our_warnings), (theirs, their_warnings) = all_frames(here, fps), all_frames(there, fps)
    assert their_warnings == our_warnings
    assert [frame.pts_seconds for frame in theirs] == [frame.pts_seconds for frame in ours]
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(ours, theirs, strict=True))


def child_of(video: IsolatedVideo) -> int:
    assert video.child_pid is not None
    return video.child_pid


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_soon_gone(pid: int) -> bool:
    give_up_at = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return not is_running(pid)


def run_script(text: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """As a user's script without a `__main__` guard: `python - < script`."""
    imports = "import os, sys\nfrom videoclf.media.isolated import IsolatedVideo\n"
    command = [sys.executable, "-", *map(str, arguments)]
    return subprocess.run(
        command, input=imports + text, text=True, capture_output=True, cwd=ROOT, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.ts", "mpeg2video")]
)
def test_frames_times_and_description_are_those_of_a_video_that_is_not_isolated(
    tmp_path: Path, name: str, codec: str
) -> None:
    assert_same(write_clip(tmp_path / name, 30, codec=codec, rotation=90 if name == "a.mp4" else 0), fps=12)


def test_warnings_are_the_same(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "cut.avi").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert_same(tmp_path / "cut.avi")


def test_real_clips_are_the_same(shared_data: Path) -> None:
    for path in sorted((shared_data / "weizmann/walk").glob("*.avi"))[:3]:
        assert_same(path, fps=10)


def test_a_frame_for_several_moments_is_sent_once_and_is_the_same_array(tmp_path: Path) -> None:
    with IsolatedVideo(write_clip(tmp_path / "clip.avi", 2, fps=2)) as video:
        rgb = [frame.rgb for frame in all_frames(video, fps=8)[0]]
    assert [rgb[0] is each for each in rgb] == [True] * 4 + [False] * 4


def test_errors_come_through_with_class_and_text(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for path in (tmp_path / "text.mp4", tmp_path / "gone.avi", write_sound(tmp_path / "sound.mp4")):
        with pytest.raises(MediaError) as here:
            Video(path)
        with pytest.raises(MediaError) as there:
            IsolatedVideo(path)
        assert (type(there.value), str(there.value)) == (type(here.value), str(here.value))


def test_limits_hold(clip: Path) -> None:
    with pytest.raises(SourceRefusedError, match="more than the 1,000 pixels allowed"):
        IsolatedVideo(clip, ReadOptions(limits=Limits(max_pixels_per_frame=1000)))


def test_a_bug_in_the_child_shows_its_traceback(clip: Path) -> None:
    with pytest.raises(
        RuntimeError, match=r"(?s)clip\.avi: a bug in the decoding child: Traceback .*1000000000\.0 is no"
    ):
        IsolatedVideo(clip, ReadOptions(limits=Limits(max_pixels_per_frame=1e9)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (signal.SIGSEGV, r"clip\.avi: the codec crashed \(SIGSEGV\) after \d+ frames; .*download or copy it again"),
        (signal.SIGABRT, r"clip\.avi: the codec crashed \(SIGABRT\) after"),
        (signal.SIGKILL, r"clip\.avi: decoding was killed \(SIGKILL\) after .*out of memory; free memory"),
    ],
)
def test_a_crash_is_named_what_came_before_stays_and_the_next_clip_works(
    clip: Path, kind: signal.Signals, says: str
) -> None:
    numbers = []
    with IsolatedVideo(clip) as video:
        crashed = child_of(video)
        frames = video.frames(video.plan(25))
        numbers += [read_number(next(frames).rgb) for _ in range(3)]
        os.kill(crashed, kind)
        with pytest.raises(DecodeFailedError, match=says) as failure:
            numbers.extend(read_number(frame.rgb) for frame in frames)
    assert "\n" not in str(failure.value)
    assert 3 <= len(numbers) < 300
    assert numbers == list(range(len(numbers)))
    with IsolatedVideo(clip) as video:
        assert child_of(video) != crashed
        assert len(all_frames(video)[0]) == 300


def test_a_child_that_is_stuck_is_ended_in_time(clip: Path) -> None:
    options = ReadOptions(limits=Limits(max_stall_seconds=1.5))
    with IsolatedVideo(clip, options) as video:
        os.kill(child_of(video), signal.SIGSTOP)
        with pytest.raises(DecodeFailedError, match=r"clip\.avi: decoding was stuck for 1\.5 s after 0 frames"):
            all_frames(video)
    assert_same(clip)


def test_memory_is_bounded(tmp_path: Path, clip: Path) -> None:
    with IsolatedVideo(write_large_clip(tmp_path / "large.mp4"), num_threads=1) as video:
        resource.prlimit(child_of(video), resource.RLIMIT_DATA, (1 << 20, resource.RLIM_INFINITY))
        with pytest.raises(SourceRefusedError, match=r"large\.mp4: decoding it takes more "):
            all_frames(video)
    assert_same(clip)


def write_large_clip(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 2048, 2048
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(2048, 2048, "yuv420p")))
        container.mux(stream.encode(None))
    return path


def test_a_child_that_died_between_two_clips_is_nobodys_fault(clip: Path) -> None:
    with IsolatedVideo(clip) as video:
        idle = child_of(video)
    os.kill(idle, signal.SIGSEGV)
    assert_same(clip)


def test_clips_one_after_the_other_share_a_child(clip: Path) -> None:
    pids = set()
    for _ in range(20):
        with IsolatedVideo(clip) as video:
            pids.add(child_of(video))
    assert len(pids) == 1


def test_closing_early_keeps_the_child(clip: Path) -> None:
    pids = set()
    for num_wanted in (0, 1, 50, 299):
        with IsolatedVideo(clip) as video:
            pids.add(child_of(video))
            frames = video.frames(video.plan(25))
            for _ in range(num_wanted):
                next(frames)
    assert len(pids) == 1


def test_frames_can_be_asked_for_once(clip: Path) -> None:
    with IsolatedVideo(clip) as video:
        next(video.frames(video.plan(25)))
        with pytest.raises(RuntimeError, match="second time"):
            next(video.frames(video.plan(25)))


def test_threads_have_children_of_their_own(clip: Path) -> None:
    pids: list[int] = []
    together = threading.Barrier(3)

    def read() -> None:
        with IsolatedVideo(clip) as video:
            together.wait(20)
            pids.append(child_of(video))
            assert len(all_frames(video)[0]) == 300

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 3


def test_a_relative_path_begins_where_the_parent_is_now(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with IsolatedVideo(clip):
        pass
    shutil.copy(clip, tmp_path / "copy\udcff.avi")
    monkeypatch.chdir(tmp_path)
    with IsolatedVideo("copy\udcff.avi") as video:
        assert video.info.path == Path("copy\udcff.avi")
    with pytest.raises(SourceMissingError, match=r"^gone\.avi: no such file"):
        IsolatedVideo("gone.avi")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_child_does_not_load_torch(clip: Path) -> None:
    with IsolatedVideo(clip) as video:
        libraries = Path(f"/proc/{child_of(video)}/maps").read_text()
    assert "libav" in libraries
    assert "torch" not in libraries


def test_a_script_ends_with_its_children_and_nothing_is_printed_but_its_own(clip: Path) -> None:
    done = run_script(
        """
idle, busy = IsolatedVideo(sys.argv[1]), IsolatedVideo(sys.argv[1])
print(idle.child_pid, busy.child_pid)
idle.__exit__(None, None, None)
next(busy.frames(busy.plan(25)))
""",
        clip,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    assert not any(map(is_running, pids))


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildPool]:
    """Without a child yet."""
    pool = ChildPool()
    monkeypatch.setattr(isolated, "children", lambda: pool)
    yield pool
    pool.close()


def after_ready(then: str) -> str:
    """What a shell runs to have a child that gets ready and dies of something else."""
    program = """
import os, sys
from videoclf.media.isolated_messages import Ready
from videoclf.media.isolated_wire import Wire
wire = Wire(int(sys.argv[1]), int(sys.argv[2]))
wire.send(Ready())
"""
    return f"exec {sys.executable} -c '{program}{then}' $4 $5"


DEATHS = {
    "before anything": "kill -KILL $$",
    "in an import": "echo 'ImportError: no such codec' >&2; exit 1",
    "without a word": "exit 3",
    "speaking nonsense": 'printf "0123456789abcdefghijklmnop" > /proc/self/fd/$5; exit',
    "before the request": after_ready(""),
    "within the answer": after_ready("wire.receive(); os.write(int(sys.argv[2]), bytes(5))"),
    "before the answer": after_ready("wire.receive(); os.kill(os.getpid(), 9)"),
}


def python_that_dies(path: Path, how: str, num_times: int) -> str:
    """A program that does so the first times, and then is Python."""
    script = f"""#!/bin/sh
echo >> {path}.starts
if [ $(wc -l < {path}.starts) -le {num_times} ]; then {how}; fi
exec {sys.executable} "$@"
"""
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


def failures_of(clips: list[Path]) -> list[MediaError | None]:
    requests = [ClipRequest(clip, fps=1, max_frames=2) for clip in clips]
    items = read_clips(requests, lambda chunks: len(list(chunks)), num_threads=1, options=ReadOptions(isolate=True))
    return [item.failure for item in items if isinstance(item, ReadEnd)]


@pytest.mark.parametrize("moment", DEATHS)
def test_a_child_that_dies_at_its_start_costs_its_clip_only(
    tmp_path: Path, clip: Path, pool: ChildPool, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    del pool
    monkeypatch.setattr(sys, "executable", python_that_dies(tmp_path / "python", DEATHS[moment], num_times=1))
    first, *others = failures_of([clip, clip, clip])
    assert isinstance(first, DecodeFailedError)
    assert str(first).startswith(f"{clip}: ")
    assert "\n" not in str(first)
    assert others == [None, None]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("kill -KILL $$", r"did not start \(it was killed by SIGKILL\); free memory"),
        ("echo 'ImportError: no such codec' >&2; exit 1", r"did not start \(ImportError: no such codec\)"),
        ("exit 3", r"did not start \(it ended with exit status 3\)"),
    ],
)
def test_how_a_child_died_is_told(
    tmp_path: Path, clip: Path, pool: ChildPool, monkeypatch: pytest.MonkeyPatch, how: str, says: str
) -> None:
    monkeypatch.setattr(sys, "executable", python_that_dies(tmp_path / "python", how, num_times=1))
    with pytest.raises(DecodeFailedError, match=says):
        IsolatedVideo(clip)
    assert pool.take().is_alive


def test_a_process_that_the_system_does_not_start_costs_its_clip_only(
    clip: Path, pool: ChildPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen
    errors = [BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")]

    def start_or_fail(*arguments: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", start_or_fail)
    first, second = failures_of([clip, clip])
    assert re.search(r"did not start \(Resource temporarily unavailable\)", str(first))
    assert second is None
    assert pool.take().num_clips == 1


@pytest.mark.parametrize("how", [DEATHS["before anything"], DEATHS["in an import"]])
def test_where_no_child_can_ever_start_it_is_told_once(
    tmp_path: Path, clip: Path, pool: ChildPool, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    del pool
    monkeypatch.setattr(sys, "executable", python_that_dies(tmp_path / "python", how, num_times=1000))
    with pytest.raises(
        DeviceUnavailableError, match=r"^no process for isolated .*3 processes in a row .*without isolation$"
    ) as failure:
        failures_of([clip] * 100)
    assert "\n" not in str(failure.value)
    assert len((tmp_path / "python.starts").read_text().splitlines()) < 10


def test_a_program_that_is_not_there_is_told_at_once(pool: ChildPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DeviceUnavailableError, match="can be started .*No such file.*decode without isolation"):
        pool.take()


@pytest.fixture
def script_with_stuck_child(clip: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    text = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
from videoclf.media.isolated import IsolatedVideo
with IsolatedVideo(sys.argv[1]) as video:
    os.kill(video.child_pid, signal.SIGSTOP)
    print(video.child_pid, flush=True)
    list(video.frames(video.plan(25)))
"""
    with subprocess.Popen(
        [sys.executable, "-c", text, str(clip)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as script:
        assert script.stdout is not None
        pid = int(script.stdout.readline())
        time.sleep(0.1)  # until it waits for the frame
        yield script, pid
        script.kill()


def test_a_killed_script_takes_along_even_a_stuck_child(
    script_with_stuck_child: tuple[subprocess.Popen[str], int],
) -> None:
    script, pid = script_with_stuck_child
    script.kill()
    assert is_soon_gone(pid)


def test_ctrl_c_ends_both_and_shows_one_traceback_at_most(
    script_with_stuck_child: tuple[subprocess.Popen[str], int],
) -> None:
    script, pid = script_with_stuck_child
    os.killpg(script.pid, signal.SIGINT)
    _, printed = script.communicate(timeout=20)
    assert printed.count("Traceback (most recent call last)") == 1
    assert printed.rstrip().endswith("KeyboardInterrupt")
    assert is_soon_gone(pid)


def test_a_forked_process_leaves_its_parents_children_alone(clip: Path) -> None:
    done = run_script(
        """
with IsolatedVideo(sys.argv[1]) as video:
    frames = video.frames(video.plan(25))
    next(frames)
    if os.fork() == 0:
        with IsolatedVideo(sys.argv[1]) as other:
            os.write(1, b"forked %d\\n" % len(list(other.frames(other.plan(25)))))
        sys.exit()
    os.wait()
    print(1 + len(list(frames)))
""",
        clip,
    )
    assert (done.stdout, done.stderr) == ("forked 300\n300\n", "")
