"""Examples behind a frozen backbone: computed once, served from then on, by whatever run asks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import write_clip
from videoclf.data.dataset import LabelledClip
from videoclf.data.feature_cache import FeatureCache
from videoclf.data.feature_key import FeatureSettings
from videoclf.data.feature_store import FeatureStore
from videoclf.media.options import DecoderName, Picking, ReadOptions
from videoclf.media.video import Video
from videoclf.modeling.batchnorm_folding import fold_batch_norms
from videoclf.modeling.classifier import VideoClassifier, build_classifier
from videoclf.progress import SilentProgress
from videoclf.recipe.recipe import Recipe
from videoclf.training.examples.cached_features import FeatureExamples
from videoclf.training.examples.decoded import Draw, Quarantine, VideoExamples, Views
from videoclf.training.examples.feature_encoder import AugmentedViews, FeatureEncoder, hash_weights

RECIPE = Recipe.model_validate(
    {
        "sampling": {"fps": 8, "max_frames": 6},
        "preprocess": {"height": 32, "width": 32, "fit": "stretch"},
        "backbone": {"name": "tiny", "frozen": True},
        "training": {"horizontal_flip": True, "min_crop_share": 0.5},
    }
)
READING = ReadOptions()


class Notes(SilentProgress):
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.num_clips = 0

    def notice(self, text: str) -> None:
        self.texts.append(text)

    def advance(self) -> None:
        self.num_clips += 1


@dataclass(frozen=True)
class Run:
    """What a run that asks for features has at hand."""

    examples: FeatureExamples
    notes: Notes
    quarantine: Quarantine
    encoder: FeatureEncoder


def classifier_of(recipe: Recipe = RECIPE, seed: int = 0) -> VideoClassifier:
    torch.manual_seed(seed)
    return build_classifier(recipe, 2)


def start(
    folder: Path | None, temporary: Path, *, augmented: AugmentedViews | None = None, recipe: Recipe = RECIPE
) -> Run:
    notes = Notes()
    quarantine = Quarantine(notes)
    encoder = FeatureEncoder(classifier_of(recipe), recipe, augmented)
    store = FeatureStore(FeatureCache(folder) if folder else None, temporary, notes.notice)
    return Run(FeatureExamples(encoder, quarantine, store, 2, notes, READING), notes, quarantine, encoder)


def draws(clips: list[LabelledClip], seed: int = 0) -> list[Draw]:
    return [Draw(clip, (seed, i)) for i, clip in enumerate(clips)]


def train(run: Run, clips: list[LabelledClip], seed: int = 0) -> list[Tensor]:
    return [example.steps for example in run.examples.for_training(draws(clips, seed)) if example is not None]


def validate(run: Run, clips: list[LabelledClip]) -> list[list[Tensor]]:
    return [seen for _, seen in run.examples.for_validation(clips, lambda views, _: views[0].clone())]


@pytest.fixture
def clips(tmp_path: Path) -> list[LabelledClip]:
    """The second has two windows."""
    folder = tmp_path / "clips"
    folder.mkdir()
    return [
        LabelledClip(write_clip(folder / f"{i}.avi", num_frames, first_number=50 * i), "walk", None)
        for i, num_frames in enumerate((8, 30, 15))
    ]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the videos that were opened."""
    names: list[str] = []

    class CountedVideo(Video):
        def __init__(self, path: Path, *arguments: Any, **options: Any) -> None:
            names.append(path.name)
            super().__init__(path, *arguments, **options)

    monkeypatch.setattr("videoclf.media.reader.Video", CountedVideo)
    return names


def test_they_are_what_the_backbone_makes_of_each_window(tmp_path: Path, clips: list[LabelledClip]) -> None:
    run = start(tmp_path / "cache", tmp_path)
    classifier = fold_batch_norms(classifier_of().eval())  # as prediction runs it

    def encode(views: Views, _num_frames: int) -> Tensor:
        (window,) = views
        return classifier.encode(window[None], torch.tensor([len(window)]))[0][0].detach()

    videos = VideoExamples(RECIPE, Quarantine(SilentProgress()), 1, lambda: None)
    expected = [seen for _, seen in videos.for_validation(clips, encode)]
    assert [len(windows) for windows in expected] == [1, 2, 1]
    for mine, theirs in zip(validate(run, clips), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_mirror_images_are_for_testing_or_for_training_or_for_both(tmp_path: Path, clips: list[LabelledClip]) -> None:
    for in_training, in_testing in ((True, True), (False, True), (True, False)):
        sections = {"training": {"horizontal_flip": in_training}, "testing": {"horizontal_flip": in_testing}}
        recipe = Recipe.model_validate(RECIPE.model_dump() | sections)
        run = start(tmp_path / "cache", tmp_path, recipe=recipe)
        assert run.encoder.views == ("as it is", "mirrored")
        seen = [views for _, (views, *_) in run.examples.for_validation(clips, lambda views, _: views)]
        assert {len(views) for views in seen} == {2 if in_testing else 1}
        is_as_it_is = {torch.equal(train(run, clips[:1], seed)[0], seen[0][0]) for seed in range(12)}
        assert is_as_it_is == ({True, False} if in_training else {True})


def test_the_second_epoch_and_the_second_run_decode_nothing(
    tmp_path: Path, clips: list[LabelledClip], opened: list[str]
) -> None:
    first = start(tmp_path / "cache", tmp_path)
    train(first, clips[:2])
    epoch = train(first, clips[:2], seed=1), validate(first, clips[2:])
    assert sorted(opened) == ["0.avi", "1.avi", "2.avi"]
    second = start(tmp_path / "cache", tmp_path)
    again = train(second, clips[:2], seed=1), validate(second, clips[2:])
    assert len(opened) == 3
    torch.testing.assert_close(again, epoch, rtol=0, atol=0)
    assert second.notes.texts == [f"features: 3 of 3 clips from the cache {tmp_path / 'cache'}"]
    assert second.notes.num_clips == 3


def test_without_a_cache_the_second_epoch_decodes_nothing(
    tmp_path: Path, clips: list[LabelledClip], opened: list[str]
) -> None:
    run = start(None, tmp_path)
    train(run, clips)
    validate(run, clips)
    assert sorted(opened) == ["0.avi", "1.avi", "2.avi"]
    assert run.notes.texts[0].startswith("features: 3 clips computed, kept for this run only (")
    assert {path.name for path in tmp_path.iterdir()} == {"clips"}


def test_only_what_is_missing_is_read(tmp_path: Path, clips: list[LabelledClip], opened: list[str]) -> None:
    validate(start(tmp_path / "cache", tmp_path), clips[1:2])
    run = start(tmp_path / "cache", tmp_path)
    assert len(validate(run, clips)) == 3
    assert opened == ["1.avi", "0.avi", "2.avi"]
    assert "features: 1 of 3 clips from the cache" in run.notes.texts[0]
    assert "; 2 computed (" in run.notes.texts[0]


def test_a_clip_is_known_by_its_content(tmp_path: Path, clips: list[LabelledClip], opened: list[str]) -> None:
    validate(start(tmp_path / "cache", tmp_path), clips)
    moved = [replace(clip, path=clip.path.rename(tmp_path / f"moved{clip.path.name}")) for clip in clips]
    validate(start(tmp_path / "cache", tmp_path), moved)
    assert len(opened) == 3
    moved[0].path.write_bytes(moved[1].path.read_bytes())
    moved[1].path.write_bytes(moved[2].path.read_bytes() + b"more")
    validate(start(tmp_path / "cache", tmp_path), moved)
    assert opened[3:] == ["moved1.avi"]


def test_shuffled_frames_are_known_by_their_name_too(
    tmp_path: Path, clips: list[LabelledClip], opened: list[str]
) -> None:
    shuffled = RECIPE.model_copy(update={"sampling": RECIPE.sampling.model_copy(update={"order": "shuffled"})})
    validate(start(tmp_path / "cache", tmp_path, recipe=shuffled), clips[1:2])
    moved = [replace(clips[1], path=clips[1].path.rename(tmp_path / "moved.avi"))]
    validate(start(tmp_path / "cache", tmp_path, recipe=shuffled), moved)
    assert opened == ["1.avi", "moved.avi"]


def test_the_order_of_the_clips_does_not_matter(tmp_path: Path, clips: list[LabelledClip]) -> None:
    forwards = validate(start(tmp_path / "a", tmp_path), clips)
    backwards = validate(start(tmp_path / "b", tmp_path), clips[::-1])
    torch.testing.assert_close(forwards, backwards[::-1], rtol=0, atol=0)
    files = [sorted(path.name for path in (tmp_path / name).rglob("*.safetensors")) for name in "ab"]
    assert files[0] == files[1]


def test_a_clip_that_cannot_be_read_is_named_once_and_never_kept(tmp_path: Path, clips: list[LabelledClip]) -> None:
    clips[1].path.write_bytes(b"RIFF....AVI broken")
    gone = LabelledClip(tmp_path / "gone.avi", "walk", None)
    for _ in range(2):
        run = start(tmp_path / "cache", tmp_path)
        for _ in range(2):
            assert len(validate(run, [*clips, gone])) == 2
        assert set(run.quarantine.reasons) == {clips[1], gone}
        assert [sum(name in text for text in run.notes.texts) for name in ("1.avi", "gone.avi")] == [1, 1]
        assert "of 2 clips" in run.notes.texts[-1]
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 4  # two clips, two views


def flip_last_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [flip_last_bit, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_damaged_features_are_computed_anew(
    tmp_path: Path, clips: list[LabelledClip], opened: list[str], damage: Callable[[Path], None]
) -> None:
    recipe = RECIPE.model_copy(
        update={"training": RECIPE.training.model_copy(update={"horizontal_flip": False})}
    )  # one view: the last bit is one that is asked for
    expected = validate(start(tmp_path / "cache", tmp_path, recipe=recipe), clips)
    for path in (tmp_path / "cache").rglob("*.safetensors"):
        damage(path)
    opened.clear()
    run = start(tmp_path / "cache", tmp_path, recipe=recipe)
    torch.testing.assert_close(validate(run, clips), expected, rtol=0, atol=0)
    assert sorted(opened) == ["0.avi", "1.avi", "2.avi"]
    assert "; 3 damaged files there were computed again" in run.notes.texts[0]
    assert len(validate(start(tmp_path / "cache", tmp_path, recipe=recipe), clips)) == 3
    assert len(opened) == 3


def test_of_several_views_only_the_damaged_one_is_made_anew(tmp_path: Path, clips: list[LabelledClip]) -> None:
    expected = train(start(tmp_path / "cache", tmp_path), clips[:1])  # mirrored, or as it is
    contents = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*.safetensors")}
    for path in contents:
        flip_last_bit(path)
    damaged = {path: path.read_bytes() for path in contents}
    torch.testing.assert_close(train(start(tmp_path / "cache", tmp_path), clips[:1]), expected, rtol=0, atol=0)
    assert sorted(path.read_bytes() == contents[path] for path in contents) == [False, True]
    assert sorted(path.read_bytes() == damaged[path] for path in contents) == [False, True]


def test_what_another_process_stores_meanwhile_is_taken(
    tmp_path: Path, clips: list[LabelledClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = validate(start(tmp_path / "cache", tmp_path), clips[:1])
    run = start(tmp_path / "cache", tmp_path)
    find, answers = run.examples._find, [None]  # first there is nothing, then the reader's thread finds it
    monkeypatch.setattr(run.examples, "_find", lambda clip: answers.pop() if answers else find(clip))
    torch.testing.assert_close(validate(run, clips[:1]), expected, rtol=0, atol=0)
    assert run.examples.num_computed == 0


def test_a_clip_that_could_not_be_named_when_it_was_begun_is_left_out(
    tmp_path: Path, clips: list[LabelledClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path / "cache", tmp_path)
    contents = run.examples._store.contents
    sha256, failures = contents.sha256, [None] * 3  # the reader's thread, the wait for it, the first window
    monkeypatch.setattr(contents, "sha256", lambda path: failures.pop() if failures else sha256(path))
    assert validate(run, clips[1:2]) == []
    assert "1.avi: was changed while it was read" in run.quarantine.reasons[clips[1]]


def test_the_folder_may_be_deleted_at_any_moment(tmp_path: Path, clips: list[LabelledClip]) -> None:
    run = start(tmp_path / "cache", tmp_path)
    expected = []
    for _, seen in run.examples.for_validation(clips, lambda views, _: views[0].clone()):
        expected.append(seen)
        for path in (tmp_path / "cache").rglob("*.*"):
            path.unlink()
    again = start(tmp_path / "cache", tmp_path)
    torch.testing.assert_close(validate(again, clips), expected, rtol=0, atol=0)


def test_where_the_folder_cannot_be_written_the_run_goes_on(tmp_path: Path, clips: list[LabelledClip]) -> None:
    (tmp_path / "file").touch()
    run = start(tmp_path / "file", tmp_path)
    expected = validate(start(None, tmp_path), clips)
    for _ in range(2):
        torch.testing.assert_close(validate(run, clips), expected, rtol=0, atol=0)
    assert [text.partition(" (")[0] for text in run.notes.texts] == [
        f"{tmp_path / 'file'}: features cannot be stored there",
        f"features: 0 of 3 clips from the cache {tmp_path / 'file'}; 3 computed",
    ]


def test_a_clip_that_changes_while_it_is_read_is_left_out(
    tmp_path: Path, clips: list[LabelledClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = FeatureEncoder.encode

    def replace_and_encode(self: FeatureEncoder, *arguments: Any, **options: Any) -> Any:
        os.replace(clips[1].path, clips[0].path)  # noqa: PTH105
        return encode(self, *arguments, **options)

    monkeypatch.setattr(FeatureEncoder, "encode", replace_and_encode)
    run = start(tmp_path / "cache", tmp_path)
    assert validate(run, clips[:1]) == []
    assert "0.avi: was changed while it was read" in run.quarantine.reasons[clips[0]]
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


def darken(rgb_T: Tensor, rng: np.random.Generator) -> Tensor:
    return rgb_T * rng.uniform(0.2, 0.8)


def test_augmented_views_are_kept_and_are_the_same_for_every_run(tmp_path: Path, clips: list[LabelledClip]) -> None:
    augmented = AugmentedViews(darken, 2, "darken 0.2 to 0.8")
    for name in "ab":
        assert len(train(start(tmp_path / name, tmp_path, augmented=augmented), clips)) == 3
    contents = [{path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.safetensors")} for name in "ab"]
    assert contents[0] == contents[1]
    run = start(tmp_path / "a", tmp_path, augmented=augmented)
    assert [layouts and len(layouts) for layouts in run.examples.ensure(clips)] == [4, 4, 4]
    plain = validate(start(tmp_path / "c", tmp_path), clips)
    torch.testing.assert_close(validate(run, clips), plain, rtol=0, atol=0)  # view 0 is the clip as it is


def test_of_views_that_a_run_adds_only_those_are_made(
    tmp_path: Path, clips: list[LabelledClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_with(num_views: int) -> Run:
        return start(tmp_path / "cache", tmp_path, augmented=AugmentedViews(darken, num_views, "darken"))

    made: list[list[int]] = []
    encode = FeatureEncoder.encode

    def note_and_encode(self: FeatureEncoder, *arguments: Any, views: list[int], **options: Any) -> Any:
        made.append(views)
        return encode(self, *arguments, views=views, **options)

    monkeypatch.setattr(FeatureEncoder, "encode", note_and_encode)
    train(start_with(2), clips[:1])
    assert made == [[0, 1, 2, 3]]
    expected = train(start(tmp_path / "whole", tmp_path, augmented=AugmentedViews(darken, 3, "darken")), clips[:1])
    more = start_with(3)
    torch.testing.assert_close(train(more, clips[:1]), expected, rtol=0, atol=0)
    assert made[2:] == [[4]]
    assert "; 1 computed (" in more.examples.describe()
    train(start(tmp_path / "cache", tmp_path), clips[:1])  # with fewer
    assert len(made) == 3


def test_augmented_views_are_mirrored_or_not() -> None:
    encoder = FeatureEncoder(classifier_of(), RECIPE, AugmentedViews(lambda rgb_T, _rng: rgb_T, 12, "none"))
    window = torch.rand(2, 3, 32, 32)
    as_it_is, mirrored, *views = encoder.encode(window, content_sha256="07" * 32, window=0, views=range(14))
    kinds = {(np.array_equal(view, as_it_is), np.array_equal(view, mirrored)) for view in views}
    assert kinds == {(True, False), (False, True)}


def test_each_augmented_view_and_window_is_drawn_anew(tmp_path: Path) -> None:
    drawn: list[float] = []

    def note(rgb_T: Tensor, rng: np.random.Generator) -> Tensor:
        drawn.append(float(rng.random()))
        return rgb_T

    encoder = FeatureEncoder(classifier_of(), RECIPE, AugmentedViews(note, 2, "note"))
    for content in ("00" * 32, "01" * 32):
        for window in range(2):
            encoder.encode(torch.rand(2, 3, 32, 32), content_sha256=content, window=window, views=(2, 3))
    assert len(set(drawn)) == 8


def settings_of(
    recipe: Recipe = RECIPE, reading: ReadOptions = READING, augmented: AugmentedViews | None = None, seed: int = 0
) -> FeatureSettings:
    """Of the last view; of `RECIPE` that is the mirrored one."""
    return FeatureEncoder(classifier_of(recipe, seed), recipe, augmented).settings(reading)[-1]


def changed(section: str, **values: object) -> Recipe:
    return RECIPE.model_copy(update={section: getattr(RECIPE, section).model_copy(update=values)})


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (lambda: settings_of(changed("sampling", fps=9.0)), {"fps"}),
        (lambda: settings_of(changed("sampling", max_frames=7)), {"max_frames"}),
        (lambda: settings_of(changed("sampling", order="shuffled")), {"order"}),
        (lambda: settings_of(changed("preprocess", crop_margin=1.5)), {"preprocess"}),
        (lambda: settings_of(changed("preprocess", channels=("gray_triplet",))), {"preprocess"}),
        (lambda: settings_of(changed("training", horizontal_flip=False)), {"view"}),
        (lambda: settings_of(changed("backbone", name="inflated:tiny")), {"backbone", "weights_sha256"}),
        (lambda: settings_of(seed=1), {"weights_sha256"}),
        (lambda: settings_of(augmented=AugmentedViews(darken, 1, "a")), {"view"}),
        (lambda: settings_of(reading=replace(READING, picking=Picking.FAST)), {"picking"}),
        (lambda: settings_of(reading=replace(READING, video_stream=1)), {"video_stream"}),
        (
            lambda: settings_of(reading=replace(READING, decoder=DecoderName.OPENCV)), {"decoder", "decoder_version"}
        ),
        (settings_of, set()),
        (lambda: settings_of(changed("training", epochs=3, seed=5)), set()),
        (lambda: settings_of(changed("temporal", hidden_size=7)), set()),
        (lambda: settings_of(reading=replace(READING, isolate=True)), set()),
    ],
)  # fmt: skip
def test_the_settings_tell_what_features_depend_on_and_nothing_else(
    other: Callable[[], FeatureSettings], names: set[str]
) -> None:
    first, second = settings_of(), other()
    assert {name for name in vars(first) if getattr(first, name) != getattr(second, name)} == names


def test_augmentation_settings_are_part_of_the_key() -> None:
    first, second = (settings_of(augmented=AugmentedViews(darken, 1, name)) for name in "ab")
    assert first.view != second.view


def test_weights_are_hashed_whatever_their_layout() -> None:
    classifier = classifier_of()
    before = hash_weights(classifier.backbone)
    assert hash_weights(classifier.to(memory_format=torch.contiguous_format).backbone) == before
    with torch.no_grad():
        next(classifier.backbone.parameters()).view(-1)[0] += 1e-6
    assert hash_weights(classifier.backbone) != before
