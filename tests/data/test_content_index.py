from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from videoclf.data import content_index
from videoclf.data.content_index import ContentIndex

LONG_AGO_NS = 10**18


def write(path: Path, content: bytes, mtime_ns: int = LONG_AGO_NS) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just made are taken for old ones: the time of their making cannot be set back."""
    monkeypatch.setattr(content_index, "_TRUSTED_AGE_NS", -(10**18))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read whole."""
    names: list[str] = []
    real = hashlib.file_digest

    def counted(file: object, name: str) -> object:
        names.append(Path(file.name).name)  # type: ignore[attr-defined]
        return real(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return names


def test_it_tells_the_content(tmp_path: Path) -> None:
    index = ContentIndex(tmp_path / "index")
    assert index.sha256(write(tmp_path / "a", b"abc")) == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.usefixtures("trusted")
def test_an_unchanged_file_is_read_once_for_all_processes(tmp_path: Path, hashed: list[str]) -> None:
    video = write(tmp_path / "a", b"abc")
    digests = {ContentIndex(tmp_path / "index").sha256(video) for _ in range(3)}
    assert len(digests) == 1
    assert hashed == ["a"]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(("content", "mtime_ns"), [(b"abcd", LONG_AGO_NS), (b"abd", LONG_AGO_NS + 1)])
def test_a_file_of_other_size_or_time_is_read_again(tmp_path: Path, content: bytes, mtime_ns: int) -> None:
    index = ContentIndex(tmp_path / "index")
    index.sha256(write(tmp_path / "a", b"abc"))
    assert index.sha256(write(tmp_path / "a", content, mtime_ns)) == hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("trusted")
def test_a_file_of_equal_size_and_time_in_its_place_is_read_again(tmp_path: Path) -> None:
    index = ContentIndex(tmp_path / "index")
    index.sha256(write(tmp_path / "a", b"abc"))
    write(tmp_path / "b", b"xyz").rename(tmp_path / "a")
    assert index.sha256(tmp_path / "a") == hashlib.sha256(b"xyz").hexdigest()


@pytest.mark.usefixtures("trusted")
def test_a_file_that_was_changed_and_its_time_set_back_is_read_again(tmp_path: Path) -> None:
    index = ContentIndex(tmp_path / "index")
    video = write(tmp_path / "a", b"abc")
    index.sha256(video)
    before_ns = video.stat().st_ctime_ns
    while video.stat().st_ctime_ns == before_ns:  # the clock of the file system ticks every few milliseconds
        write(video, b"xyz")
    assert index.sha256(video) == hashlib.sha256(b"xyz").hexdigest()


@pytest.mark.usefixtures("trusted")
def test_lines_of_older_versions_are_passed_over(tmp_path: Path, hashed: list[str]) -> None:
    video = write(tmp_path / "a", b"abc")
    (tmp_path / "index").write_text(json.dumps([str(video), 3, LONG_AGO_NS, "0" * 64, 1]))
    assert ContentIndex(tmp_path / "index").sha256(video) == hashlib.sha256(b"abc").hexdigest()


def test_a_file_that_was_just_written_is_not_trusted_to_stay(tmp_path: Path) -> None:
    index = ContentIndex(tmp_path / "index")
    video = tmp_path / "a"
    video.write_bytes(b"abc")
    stamp_ns = video.stat().st_mtime_ns
    index.sha256(video)
    write(video, b"xyz", stamp_ns)  # within the same tick of the file system's clock
    assert index.sha256(video) == hashlib.sha256(b"xyz").hexdigest()


def test_what_is_no_readable_file_has_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    index = ContentIndex(tmp_path / "index")
    assert [index.sha256(tmp_path / name) for name in ("gone", "pipe", "", "\0")] == [None] * 4


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("damage", [b"\xff\xfe{", b"[1, 2]\n", b'["a", 1, 2, "x", 3]', b"[" * 10**5], ids=len)
def test_damaged_lines_are_passed_over(tmp_path: Path, hashed: list[str], damage: bytes) -> None:
    first, second = write(tmp_path / "a", b"abc"), write(tmp_path / "b", b"abc")
    ContentIndex(tmp_path / "index").sha256(first)
    with (tmp_path / "index").open("ab") as file:
        file.write(damage)  # and no line break: another process was killed here
    ContentIndex(tmp_path / "index").sha256(second)
    index = ContentIndex(tmp_path / "index")
    assert index.sha256(first) == index.sha256(second) == hashlib.sha256(b"abc").hexdigest()
    assert hashed == ["a", "b"]


@pytest.mark.usefixtures("trusted")
def test_a_changed_digest_is_not_believed(tmp_path: Path) -> None:
    video = write(tmp_path / "a", b"abc")
    digest = ContentIndex(tmp_path / "index").sha256(video)
    assert digest is not None
    text = (tmp_path / "index").read_text()
    (tmp_path / "index").write_text(text.replace(digest, digest[::-1]))
    assert ContentIndex(tmp_path / "index").sha256(video) == digest


def test_an_index_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    digest = hashlib.sha256(b"abc").hexdigest()
    assert ContentIndex(tmp_path / "index").sha256(write(tmp_path / "a", b"abc")) == digest
    assert ContentIndex(None).sha256(tmp_path / "a") == digest


@pytest.mark.usefixtures("trusted")
def test_processes_may_write_at_the_same_time(tmp_path: Path, hashed: list[str]) -> None:
    names = [f"{number:03}" for number in range(100)]
    for name in names:
        write(tmp_path / name, name.encode())
    program = (
        "import sys; from pathlib import Path; from videoclf.data import content_index\n"
        "from videoclf.data.content_index import ContentIndex; content_index._TRUSTED_AGE_NS = -10**18\n"
        "index = ContentIndex(Path(sys.argv[1]) / 'index')\n"
        "for number in map(int, sys.argv[2:]): index.sha256(Path(sys.argv[1]) / f'{number:03}')\n"
    )
    halves = [[str(number) for number in range(start, 100, 2)] for start in (0, 1)]
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), *half]) for half in halves]
    assert [process.wait(60) for process in processes] == [0, 0]
    index = ContentIndex(tmp_path / "index")
    assert all(index.sha256(tmp_path / name) == hashlib.sha256(name.encode()).hexdigest() for name in names)
    assert hashed == []
