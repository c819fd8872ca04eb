"""Linear classifiers on clips' features: what they are fitted to, and what is left out together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from videoclf.data.dataset import LabelledClip
from videoclf.recipe.training import Training
from videoclf.training.examples.decoded import Seen, Views
from videoclf.training.loop import linear_probe
from videoclf.training.loop.linear_probe import LinearProbe, units_to_leave_out

LABELS = ("still", "busy")


class Features:
    """Clips whose features change (busy) or do not; the second view of each is another clip's."""

    def __init__(self, num_windows: int = 1) -> None:
        self.num_windows = num_windows
        self.num_read = 0

    def for_statistics(
        self,
        clips: Sequence[LabelledClip],
        look: Callable[[Views, int], Seen],
        *,
        max_views: int,
        max_windows: int | None = None,
        is_progress: bool = True,
    ) -> Iterator[tuple[LabelledClip, list[Seen]]]:
        for clip in clips:
            if clip.path.stem == "unreadable":
                continue
            self.num_read += 1
            rng = np.random.default_rng(len(str(clip.path)) * 1000 + int(clip.path.stem))
            steps = torch.from_numpy(rng.normal(size=(2, 8, 5)).astype(np.float32)) * (clip.label == "busy")
            noise = torch.from_numpy(rng.normal(size=(2, 8, 5)).astype(np.float32)) * 0.1
            views = tuple(steps + noise)[:max_views]
            yield clip, [look(views, 8)] * min(self.num_windows, max_windows or self.num_windows)


def clips(count: int, *, group: str | None = None) -> list[LabelledClip]:
    return [LabelledClip(Path(f"{i}.avi"), LABELS[i % 2], group or f"g{i // 4}") for i in range(count)]


def probe(features: Features, **settings: object) -> LinearProbe:
    return LinearProbe(features, LABELS, Training.model_validate(settings))  # type: ignore[arg-type]


def test_it_finds_what_statistics_tell() -> None:
    fitted = probe(Features()).fit(clips(16))
    assert fitted is not None
    predicted = probe(Features()).logits(fitted.ridge, clips(40)[16:]).predicted(LABELS)
    assert all(name == clip.label for clip, name in predicted.items())
    assert len(predicted) == 24


def test_a_clip_is_read_once() -> None:
    features = Features()
    fitting = probe(features)
    fitting.fit(clips(8))
    fitting.fit(clips(12))
    assert features.num_read == 12


def test_more_views_are_more_rows_and_the_clip_as_it_is_is_evaluated() -> None:
    one, two = (
        LinearProbe(Features(), LABELS, Training(), max_views=num).fit(clips(8))  # type: ignore[arg-type]
        for num in (1, 2)
    )
    assert one is not None
    assert two is not None
    assert one.left_out_logits.shape == two.left_out_logits.shape == (8, 2)
    assert not np.allclose(one.ridge.weight, two.ridge.weight)


def test_clips_that_cannot_be_read_are_left_out_and_none_is_no_classifier() -> None:
    unreadable = LabelledClip(Path("unreadable.avi"), "busy", "g0")
    fitted = probe(Features()).fit([*clips(8), unreadable])
    assert fitted is not None
    assert fitted.clips == clips(8)
    assert probe(Features()).fit([unreadable]) is None
    assert probe(Features()).learning_curve([unreadable]) is None


def test_of_more_clips_than_it_can_be_fitted_to_it_takes_some_of_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_probe, "_MAX_ROWS", 10)
    fitted = probe(Features(num_windows=3)).fit(clips(40))
    assert fitted is not None
    assert (len(fitted.clips), fitted.num_asked) == (10, 40)
    assert {clip.label for clip in fitted.clips} == set(LABELS)


def test_windows_of_a_long_clip_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_probe, "_MAX_ROWS", 16)
    features = Features(num_windows=100)
    fitting = probe(features)
    fitting.fit(clips(8))
    assert {len(windows) for windows in fitting._kept.values()} == {2}


def test_of_many_clips_only_the_last_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_probe, "_MAX_KEPT", 10)
    fitting = probe(Features())
    fitting.fit(clips(8))
    fitting.fit(clips(16)[8:])
    assert list(fitting._kept) == clips(16)[8:]


def test_groups_are_left_out_whole_but_never_a_whole_class() -> None:
    shared = [LabelledClip(Path(f"{i}.avi"), LABELS[i % 2], "g1" if i < 4 else "g2") for i in range(8)]
    assert units_to_leave_out(shared) == ["g1"] * 4 + ["g2"] * 4
    alone = [LabelledClip(Path(f"{i}.avi"), "still", "g1") for i in range(2)]
    assert units_to_leave_out(alone) == [Path("0.avi"), Path("1.avi")]
    assert units_to_leave_out([LabelledClip(Path("a.avi"), "busy", None)]) == [Path("a.avi")]


def test_balanced_classes_weigh_the_same() -> None:
    rare = [clip for clip in clips(40) if clip.label == "still"] + [clip for clip in clips(8) if clip.label == "busy"]
    plain = probe(Features()).fit(rare)
    balanced = probe(Features(), class_balance="loss").fit(rare)
    assert plain is not None
    assert balanced is not None
    assert balanced.ridge.bias[1] > plain.ridge.bias[1]


def test_several_labels_a_clip_are_learned_separately() -> None:
    both = [LabelledClip(Path(f"{i}.avi"), "still|busy" if i % 3 == 0 else LABELS[i % 2], None) for i in range(20)]
    fitted = probe(Features(), objective="sigmoid").fit(both)
    assert fitted is not None
    assert fitted.left_out_logits.shape == (20, 2)


def test_the_curve_rises_from_few_clips_to_all() -> None:
    curve = probe(Features()).learning_curve(clips(80))
    assert curve is not None
    assert [point.num_clips_per_class for point in curve.points] == [5, 10, 20, 32]
    assert curve.points[-1].top1 >= curve.points[0].top1
