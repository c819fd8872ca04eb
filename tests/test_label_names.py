from __future__ import annotations

from pathlib import Path

import pytest

from videoclf.data.dataset import load_dataset
from videoclf.errors import DatasetInvalidError
from videoclf.label_names import refuse_look_alikes, visible_form

INVISIBLE = {
    "zero-width space": "\u200b",
    "joiners": "\u200c\u200d\u2060\u034f",
    "byte order mark": "\ufeff",
    "space": " ",
    "no-break space": "\u00a0",
    "ideographic space": "\u3000",
    "Braille blank": "\u2800",
    "soft hyphen": "\u00ad\u00ad",
    "tags": "\U000e0077\U000e0061",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "variation selectors": "\ufe00\ufe0f\U000e0100\U000e01ef",
    "Mongolian": "\u180b\u180e\u180f",
    "Khmer": "\u17b4\u17b5",
    "direction": "\u200e\u200f\u061c\u202e",
}


@pytest.mark.parametrize("name", INVISIBLE.values(), ids=INVISIBLE)
def test_a_name_that_nobody_sees_is_refused_by_its_code_points(name: str) -> None:
    with pytest.raises(DatasetInvalidError) as caught:
        refuse_look_alikes(["walk", name], "class", "clips")
    points = " ".join(f"U+{ord(c):04X}" for c in name)
    assert str(caught.value) == (f"clips: the name of a class has no visible characters ({points}); rename it")


@pytest.mark.parametrize("name", INVISIBLE.values(), ids=INVISIBLE)
def test_two_names_that_differ_in_what_nobody_sees_are_refused(name: str) -> None:
    with pytest.raises(DatasetInvalidError, match="look the same"):
        refuse_look_alikes(["walk", f"walk{name}"], "class", "clips")


def test_both_names_are_told() -> None:
    with pytest.raises(DatasetInvalidError) as caught:
        refuse_look_alikes(["e\u0301", "walk", "é"], "class", "clips")
    assert str(caught.value) == (
        r"clips: the class names 'e\u0301' and '\xe9' look the same (U+0065 U+0301 and U+00E9), but are different; "
        "give both the same name, or names that differ visibly"
    )


def test_names_of_every_script_are_names() -> None:
    persian, family, heart = (
        "\u0645\u06cc\u200c\u0631\u0648\u0645",
        "👩\u200d👧",
        "❤\ufe0f",
    )  # with what joins and varies
    names = ["walk", "Walk", "идти", "歩く", "걷다", persian, "हिन्दी", "🙂", family, heart, "-", "1", "walk|run"]
    refuse_look_alikes(names * 2, "class", "clips")
    assert all(map(visible_form, names))


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("a.avi,walk\nb.avi,wa\u200blk\n", r"clips.csv: the class names 'walk' and 'wa\u200blk' look the same"),
        ("a.avi,walk\nb.avi,\u2800\n", "clips.csv: the name of a class has no visible characters (U+2800)"),
        ("a.avi,walk|run\nb.avi,ru\u00adn\n", r"clips.csv: the class names 'run' and 'ru\xadn' look the same"),
        ("a.avi,walk,g1\nb.avi,run,g1\u200b\n", r"clips.csv: the group names 'g1' and 'g1\u200b' look the same"),
    ],
    ids=["classes", "unseen", "labels of one clip", "groups"],
)
def test_a_list_with_such_names_is_no_data_set(tmp_path: Path, lines: str, complaint: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_text(lines, encoding="utf-8")
    (tmp_path / "a.avi").touch()
    with pytest.raises(DatasetInvalidError) as caught:
        load_dataset(path)
    assert complaint in str(caught.value)


def test_a_folder_with_such_names_is_no_data_set(tmp_path: Path) -> None:
    for label in ("walk", "walk\u00ad"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.avi").touch()
    with pytest.raises(DatasetInvalidError, match="the class names 'walk' and 'walk.xad' look the same"):
        load_dataset(tmp_path)


def test_a_blank_at_the_end_of_a_folders_name_is_its_own_business(tmp_path: Path) -> None:
    for label in ("walk ", "run"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.avi").touch()
    assert load_dataset(tmp_path).labels == ("run", "walk ")
