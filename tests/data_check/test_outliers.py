from __future__ import annotations

from pathlib import Path

import numpy as np

from videoclf.data.dataset import LabelledClip
from videoclf.data_check.findings import ClassCount
from videoclf.data_check.motion_fingerprint import make_fingerprint
from videoclf.data_check.outliers import count_classes, describe_balance, find_outliers
from videoclf.data_check.scan import ScannedClip
from videoclf.errors import DecodeFailedError
from videoclf.media.frames import UInt8Array, VideoInfo

WALL = np.random.default_rng(0).integers(0, 256, (36, 48), dtype=np.uint8)


def scanned(
    name: str,
    *,
    label: str = "walk",
    size: tuple[int, int] = (320, 240),
    fps: float = 25.0,
    seconds: float = 4.0,
    varies: bool = False,
    is_broken: bool = False,
    pictures: UInt8Array | None = None,
) -> ScannedClip:
    path = Path(name)
    info = VideoInfo(path, "h264", *size, 0, 0.0, seconds, fps, varies)
    return ScannedClip(
        clip=LabelledClip(path, label, None),
        size_bytes=1,
        info=info,
        failure=DecodeFailedError("broken") if is_broken else None,
        warnings=(),
        num_samples=1,
        thumbnail=b"",
        fingerprint=make_fingerprint(pictures) if pictures is not None else None,
    )


def kinds(*odd: ScannedClip) -> list[str]:
    return [clip.kind for clip in find_outliers([*(scanned(f"usual{i}") for i in range(20)), *odd])]


def test_what_is_unlike_the_others_is_named() -> None:
    assert kinds(scanned("a", fps=12.5)) == ["frame rate"]
    assert kinds(scanned("a", size=(240, 320))) == ["size"]
    assert kinds(scanned("a", seconds=60.0)) == ["length"]
    assert kinds(scanned("a", seconds=0.2)) == ["few frames"]
    assert kinds(scanned("a", varies=True)) == ["varying frame rate"]
    assert kinds(scanned("a", is_broken=True, fps=1.0)) == []


def test_where_little_is_in_common_nothing_is_odd() -> None:
    clips = [scanned(str(i), size=(100 + i, 100), fps=10.0 + i) for i in range(20)]
    assert find_outliers(clips) == []


def test_a_still_and_a_blank_picture_are_named() -> None:
    assert kinds(scanned("a", pictures=np.repeat(WALL[None], 20, axis=0))) == ["nothing moves"]
    assert kinds(scanned("a", pictures=np.zeros((20, 36, 48), np.uint8))) == ["blank"]


def test_the_message_says_what_and_what_is_usual() -> None:
    (odd,) = find_outliers([*(scanned(f"usual{i}") for i in range(20)), scanned("a", size=(240, 320))])
    assert odd.message == "240×320; most are 320×240"


def test_classes_are_counted() -> None:
    clips = [scanned("a"), scanned("b", is_broken=True), scanned("c", label="run")]
    run, walk = count_classes(clips, lambda each: "test" if each.clip.path.name == "a" else None)
    assert (run.label, run.num_clips, run.num_test) == ("run", 1, 0)
    assert (walk.num_clips, walk.num_usable, walk.num_test, walk.duration_seconds) == (2, 1, 1, 4.0)


def count(label: str, num_clips: int) -> ClassCount:
    return ClassCount(
        label=label, num_clips=num_clips, num_usable=num_clips, num_train=0, num_validation=0, num_test=0,
        duration_seconds=1.0,
    )  # fmt: skip


def test_balance_is_described_where_it_is_missing() -> None:
    assert describe_balance([count("a", 10), count("b", 20)]) == []
    assert describe_balance([count("a", 10)])[0].startswith("there is only one class, 'a'")
    unlike, few = describe_balance([count("a", 4), count("b", 100)])
    assert unlike == "classes are imbalanced: 100 usable clips of 'b', 4 of 'a'"
    assert few == "a class has fewer than 5 usable clips: 'a'"
