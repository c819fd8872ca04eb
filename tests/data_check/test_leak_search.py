"""What happens to a split that leaks, before anything is trained on it. (tests/data_check/test_check.py has real
clips.)"""

from __future__ import annotations

import pytest

from videoclf.data.dataset import Dataset
from videoclf.data.splits import Split
from videoclf.data_check import leak_search
from videoclf.data_check.findings import Leak
from videoclf.data_check.leak_search import LeakSearch, check_before_training, check_command
from videoclf.errors import DatasetInvalidError, SplitLeaksError
from videoclf.media.options import DEFAULT_READ_OPTIONS
from videoclf.progress import as_progress

LEAK = Leak(kind="group", first="a", first_part="train", second="f", second_part="test", group="g1")
SPLIT = Split("random:0", (), (), ())
DATASET = Dataset("my clips", (), "^([a-z]+)_")


def check(
    monkeypatch: pytest.MonkeyPatch, *found: tuple[Leak, ...], has_all: bool = True, allow_leaks: bool = False
) -> list[str]:
    """The notices."""
    monkeypatch.setattr(leak_search, "find_leaks", lambda _splits, **_: LeakSearch(found, has_all))
    notices: list[str] = []
    check_before_training(
        {f"split {i}": SPLIT for i in range(len(found))}, DATASET, workers=1, reading=DEFAULT_READ_OPTIONS,
        progress=as_progress(notices.append), allow_leaks=allow_leaks, how_to_group="group_regex",
        check_command=check_command(DATASET, SPLIT),
    )  # fmt: skip
    return notices


def test_the_first_split_that_leaks_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SplitLeaksError) as caught:
        check(monkeypatch, (), (LEAK,), (LEAK, LEAK))
    assert str(caught.value) == (
        "my clips: split 1 leaks, so its figures would be too high: group g1: a (train) and f (test). Group them "
        "(group_regex), remove the copies, or continue with allow_leaks=True; to list all: "
        "videoclf check 'my clips' --split random:0 --group-regex '^([a-z]+)_'"
    )
    assert isinstance(caught.value, DatasetInvalidError)


def test_an_allowed_leak_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    (notice,) = check(monkeypatch, (LEAK,), allow_leaks=True)
    assert notice.startswith("my clips: split 0 leaks, so its figures would be too high: group g1: a (train)")


def test_nothing_is_said_where_nothing_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(monkeypatch, (), ()) == []


def test_near_duplicates_that_were_not_searched_for_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    (notice,) = check(monkeypatch, (), has_all=False)
    assert notice.startswith("of more than 1,000 clips, near-duplicates are not searched for before training")


def test_the_command_without_a_split_checks_the_data() -> None:
    assert check_command(DATASET) == "videoclf check 'my clips'"
