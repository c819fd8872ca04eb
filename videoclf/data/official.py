"""Reads the official split lists of UCF101 and HMDB51, as their authors publish them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from videoclf.errors import DatasetInvalidError, UsageInvalidError
from videoclf.option_names import option

ClipName = tuple[str, str]
"""Class and file name without suffix, because many people keep the videos in another container."""

_USUAL_FOLDERS = (".", "ucfTrainTestlist", "testTrainMulti_7030_splits", "splits", "..", "../ucfTrainTestlist",
                  "../testTrainMulti_7030_splits", "../splits")  # fmt: skip


@dataclass(frozen=True)
class OfficialSplit:
    """The clips that one of the official splits lists."""

    source: Path
    train: tuple[ClipName, ...]
    test: tuple[ClipName, ...]
    unused: tuple[ClipName, ...] = ()
    """Listed for neither part: HMDB51's splits leave clips out, so that all classes have the same number."""


def read_official_split(data_folder: Path, number: int, split_files: Path | None = None) -> OfficialSplit:
    """Read the official split with this number.

    Args:
        data_folder: the folder of the clips. The lists are searched for in it and beside it, under their usual names.
        number: 1, 2 or 3.
        split_files: the folder with the lists, if it is another.

    Raises:
        UsageInvalidError: there is no split with this number.
        DatasetInvalidError: there are no lists, or lines are malformed.
    """
    if not 1 <= number <= 3:
        raise UsageInvalidError("the official splits are 1, 2 and 3", source=option("split", f"official:{number}"))
    candidates = [split_files] if split_files else [data_folder / name for name in _USUAL_FOLDERS]
    for folder in candidates:
        if (folder / f"trainlist{number:02}.txt").is_file():
            return _read_ucf101(folder, number)
        if any(folder.glob(f"*_test_split{number}.txt")):
            return _read_hmdb51(folder, number)
    where = str(split_files) if split_files else f"{data_folder} or beside it"
    raise DatasetInvalidError(
        f"no trainlist{number:02}.txt (UCF101) nor *_test_split{number}.txt (HMDB51) in {where}",
        source=option("split", f"official:{number}"),
        hint=f"give their folder with {option('split_files')}; `videoclf datasets` says where to get them",
    )


def _checked(
    source: Path, train: list[ClipName], test: list[ClipName], unused: Iterable[ClipName] = ()
) -> OfficialSplit:
    """The split, each clip once.

    Raises:
        DatasetInvalidError: a clip is listed on both sides.
    """
    on_both_sides = set(train) & set(test)
    if on_both_sides:
        name = min(on_both_sides)
        raise DatasetInvalidError(
            f"its lists contain {'/'.join(name)} for training and for test",
            source=source,
            hint="download or copy them again",
        )
    return OfficialSplit(source, *(tuple(dict.fromkeys(names)) for names in (train, test, unused)))


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")  # UCF101's lists end lines with CRLF
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetInvalidError(f"cannot be read as a split list ({error})", source=path) from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def _read_ucf101(folder: Path, number: int) -> OfficialSplit:
    """``trainlist01.txt``: ``Class/v_Class_g08_c01.avi 1``; ``testlist01.txt``: the same without the number."""
    parts = {}
    for part in ("train", "test"):
        path = folder / f"{part}list{number:02}.txt"
        names = []
        for line_number, line in _lines(path):
            label, slash, file = line.split(" ")[0].partition("/")
            if not slash:
                raise DatasetInvalidError(
                    f"expected Class/clip.avi, got {line!r}", source=f"{path}, line {line_number}"
                )
            names.append((label, Path(file).stem))
        parts[part] = names
    return _checked(folder, parts["train"], parts["test"])


def _read_hmdb51(folder: Path, number: int) -> OfficialSplit:
    """``walk_test_split1.txt``: ``clip.avi 1`` trains, ``2`` tests, ``0`` does neither."""
    train: list[ClipName] = []
    test: list[ClipName] = []
    unused: list[ClipName] = []
    ending = f"_test_split{number}.txt"
    for path in sorted(folder.glob(f"*{ending}")):
        label = path.name.removesuffix(ending)
        for line_number, line in _lines(path):
            file, _, use = line.rpartition(" ")
            if use not in {"0", "1", "2"} or not file:
                raise DatasetInvalidError(
                    f"expected clip.avi 0, 1 or 2, got {line!r}", source=f"{path}, line {line_number}"
                )
            {"0": unused, "1": train, "2": test}[use].append((label, Path(file.strip()).stem))
    return _checked(folder, train, test, unused)
