from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest
from pydantic import ValidationError

from videoclf.data.dataset import UCF_GROUP_PATTERN
from videoclf.data.manifest import Manifest, load_manifest, manifest_names, recognise
from videoclf.data.official import ClipName, read_official_split
from videoclf.errors import DatasetInvalidError

NUM_CLASSES = {"hmdb51": 51, "kinetics400": 400, "ucf101": 101}
WITH_LISTS = ["hmdb51", "ucf101"]


def group_of(manifest: Manifest, clip: ClipName) -> str:
    match = re.search(manifest.group_regex, clip[1])
    assert match is not None, clip
    return match[1]


def test_three_public_sets_are_described() -> None:
    assert manifest_names() == sorted(NUM_CLASSES)


@pytest.mark.parametrize(("name", "num_classes"), NUM_CLASSES.items())
def test_every_class_is_named_once(name: str, num_classes: int) -> None:
    classes = load_manifest(name).classes
    assert len(classes) == len(set(classes)) == num_classes


@pytest.mark.parametrize("name", NUM_CLASSES)
def test_the_example_is_named_by_the_pattern_and_has_a_group(name: str) -> None:
    manifest = load_manifest(name)
    assert re.fullmatch(manifest.naming.pattern, manifest.naming.example)
    assert group_of(manifest, (manifest.classes[0], manifest.naming.example))


@pytest.mark.parametrize("name", NUM_CLASSES)
def test_training_groups_clips_by_the_pattern(name: str) -> None:
    manifest = load_manifest(name)
    assert f"--group-regex '{manifest.group_regex}'" in manifest.commands[0] or (
        manifest.group_regex == UCF_GROUP_PATTERN
    )


def test_kinetics_classes_are_those_of_torchvisions_weights() -> None:
    from torchvision.models.video import R3D_18_Weights

    assert load_manifest("kinetics400").classes == tuple(R3D_18_Weights.KINETICS400_V1.meta["categories"])


def test_kinetics_three_lists_make_up_all_its_clips() -> None:
    manifest = load_manifest("kinetics400")
    val, test = manifest.splits
    assert val.num_train + val.num_test + test.num_test == manifest.num_clips


def test_ucf101s_classes_are_in_the_makers_order(shared_data: Path) -> None:
    lines = (shared_data / "splits/ucf101/classInd.txt").read_text().splitlines()
    assert load_manifest("ucf101").classes == tuple(line.split()[1] for line in lines if line.strip())


@pytest.mark.parametrize("name", WITH_LISTS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_numbers_are_those_of_the_lists(shared_data: Path, name: str, number: int) -> None:
    manifest = load_manifest(name)
    official = read_official_split(shared_data / "splits" / name, number)
    described = manifest.splits[number - 1]
    assert described.name == f"official:{number}"
    assert (described.num_train, described.num_test) == (len(official.train), len(official.test))
    assert manifest.num_clips == len({*official.train, *official.test, *official.unused})
    assert set(manifest.classes) == {label for label, _ in official.train}


@pytest.mark.parametrize("name", WITH_LISTS)
def test_lists_have_the_names_that_are_told(shared_data: Path, name: str) -> None:
    manifest = load_manifest(name)
    folder = shared_data / "splits" / name
    files = [file.replace("CLASS", manifest.classes[0]) for split in manifest.splits for file in split.files]
    assert [file for file in files if not (folder / file).is_file()] == []


@pytest.mark.parametrize("name", WITH_LISTS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_listed_clip_is_named_by_the_pattern_and_no_group_is_parted(
    shared_data: Path, name: str, number: int
) -> None:
    manifest = load_manifest(name)
    official = read_official_split(shared_data / "splits" / name, number)
    clips = (*official.train, *official.test, *official.unused)
    assert [clip for clip in clips if not re.fullmatch(manifest.naming.pattern, f"{clip[1]}.avi")] == []
    sides = [{(clip[0], group_of(manifest, clip)) for clip in part} for part in (official.train, official.test)]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize("name", NUM_CLASSES)
def test_a_set_is_recognised_by_all_its_classes_or_half_of_them(name: str) -> None:
    classes = load_manifest(name).classes
    half = classes[: (len(classes) + 1) // 2]
    assert [known and known.name for known in map(recognise, (classes, reversed(classes), half))] == [name] * 3


@pytest.mark.parametrize(
    "labels",
    [(), ("jump", "run", "walk"), load_manifest("hmdb51").classes[:25], (*load_manifest("hmdb51").classes, "wave2")],
    ids=["nothing", "names that many use", "less than half", "one more"],
)
def test_other_classes_are_not_taken_for_a_set(labels: tuple[str, ...]) -> None:
    assert recognise(labels) is None


def test_no_classes_could_be_those_of_two_sets() -> None:
    for one, other in combinations(map(load_manifest, manifest_names()), 2):
        assert 2 * len({*one.classes} & {*other.classes}) < min(len(one.classes), len(other.classes))


@pytest.mark.parametrize("name", ["ucf11", "../models/tiny", "README", ""])
def test_an_unknown_name_is_answered_with_those_that_are_there(name: str) -> None:
    expected = f"there is no dataset {name!r}; available: hmdb51, kinetics400, ucf101"
    with pytest.raises(DatasetInvalidError, match=f"^{re.escape(expected)}$"):
        load_manifest(name)


def test_a_field_that_nothing_reads_is_refused() -> None:
    tree = load_manifest("ucf101").model_dump()
    with pytest.raises(ValidationError, match="licence"):
        Manifest.model_validate({**tree, "licence": "none"})
