"""What a caller may give to hear of progress."""

from __future__ import annotations

from videoclf.progress import SilentProgress, as_progress


def test_nothing_is_silent() -> None:
    progress = as_progress(None)
    progress.stage("clips", 3)
    progress.advance()
    progress.notice("a clip cannot be read")
    assert isinstance(progress, SilentProgress)


def test_a_function_gets_the_notices() -> None:
    notes: list[str] = []
    progress = as_progress(notes.append)
    progress.stage("clips", 3)
    progress.notice("a clip cannot be read")
    assert notes == ["a clip cannot be read"]


def test_an_object_with_the_methods_is_taken_as_it_is() -> None:
    progress = SilentProgress()
    assert as_progress(progress) is progress
