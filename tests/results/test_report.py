from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_clip
from videoclf.data.dataset import LabelledClip
from videoclf.epoch_record import EpochRecord
from videoclf.errors import RunFolderUnusableError
from videoclf.evaluation.clip_results import ClipResult
from videoclf.evaluation.metrics import FailedClip, Metrics, compute_metrics
from videoclf.inference.prediction import LabelScore
from videoclf.results.report import write_report

HOSTILE = "<script>alert('x')</script>&amp;"


def metrics_of(*labels: str, failed: tuple[FailedClip, ...] = ()) -> Metrics:
    """Two clips of each class: one correct, one predicted as the next class."""
    num = len(labels)
    scores = np.concatenate([np.eye(num), np.roll(np.eye(num), 1, axis=1)])
    return compute_metrics(scores, [*range(num), *range(num)], labels, failed)


def metrics_of_pairs(num_classes: int, *pairs: tuple[int, int]) -> Metrics:
    """Clips of the classes class000, class001, ..., each given as its true and its predicted class."""
    scores = np.eye(num_classes)[[predicted for _, predicted in pairs]]
    return compute_metrics(scores, [true for true, _ in pairs], [f"class{i:03}" for i in range(num_classes)])


def html_of(tmp_path: Path, metrics: Metrics, notes: Sequence[str] = ()) -> str:
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics, notes=notes)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def picture_in(html: str) -> str:
    return html[html.index('<figure class="matrix') :].partition("</figure>")[0]


def first_cells(html: str, heading: str) -> list[str]:
    """The first cell of each row of the table under the heading."""
    table = html[html.index(f"<h2>{heading}</h2>") :].partition("</table>")[0]
    return re.findall(r'<tr><td class="name">([^<]*)', table)


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        train_loss=1 / number,
        validation_loss=1.5 / number,
        validation_top1=0.5,
        learning_rate=1e-3,
        seconds=2.0,
    )


def test_the_report_shows_the_metrics(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run", "sit"))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in ("<h1>Walkers</h1>", "top-1 accuracy (3 of 6)", "<b>0.500</b>", ">walk<td>2<td>1<td>0.50"):
        assert text in html


def test_the_report_needs_nothing_else(tmp_path: Path) -> None:
    write_report(
        tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run"), epochs=[epoch(1), epoch(2)]
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert "@import" not in html
    links = re.findall(r"""(?:href|src)\s*=\s*["']([^"']*)|url\(([^)]*)\)""", html)
    assert links
    assert [target for pair in links for target in pair if target and target[0] != "#"] == []


@pytest.mark.parametrize("num_epochs", [0, 1, 5])
def test_curves_are_drawn_where_there_are_epochs(tmp_path: Path, num_epochs: int) -> None:
    epochs = [epoch(i + 1) for i in range(num_epochs)]
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run"), epochs=epochs)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("<svg") == (3 if num_epochs else 2)  # reliability, confusion
    assert ("<h2>Training</h2>" in html) is bool(num_epochs)


def test_epochs_are_whole_numbers(tmp_path: Path) -> None:
    epochs = [epoch(i + 1) for i in range(3)]
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run"), epochs=epochs)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ">2</text>" in html
    assert ">2.25</text>" not in html


def test_names_from_outside_cannot_become_markup(tmp_path: Path) -> None:
    failed = FailedClip(source=HOSTILE, message=f"failed {HOSTILE}")
    write_report(
        tmp_path / "report.html",
        title=f"title {HOSTILE}",
        metrics=metrics_of(f"label {HOSTILE}", "run", failed=(failed,)),
        notes=[f"note {HOSTILE}"],
        recipe_toml=f"recipe {HOSTILE}",
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    for place in ("title", "label", "failed", "note", "recipe"):
        assert f"{place} &lt;script&gt;" in html


def test_every_label_stands_beside_the_confusion(tmp_path: Path) -> None:
    picture = picture_in(html_of(tmp_path, metrics_of("walk", "cost $5", "é & ü")))
    for label in ("walk", "cost $5", "é &amp; ü"):
        assert picture.count(f">{label}</span>") == 2


def test_every_one_of_101_labels_stands_beside_the_confusion_at_eight_points(tmp_path: Path) -> None:
    labels = [f"class{i:03}" for i in range(101)]
    html = html_of(tmp_path, metrics_of(*labels))
    assert [label for label in labels if picture_in(html).count(f">{label}</span>") != 2] == []
    assert ".matrix, .matrix text { font-size: 8pt; }" in html
    assert "--side: 12px" in html


def test_the_tooltip_of_a_cell_has_its_classes_and_clips(tmp_path: Path) -> None:
    picture = picture_in(html_of(tmp_path, metrics_of_pairs(50, (7, 7), (7, 7), (7, 9))))
    assert re.findall("<title>(.*)</title>", picture) == [
        "class007 predicted correctly: 2 of 3",
        "class007 predicted as class009: 1 of 3",
    ]
    assert picture.count("<rect") == 2


@pytest.mark.parametrize(("num_classes", "numbers"), [(40, ["2", "1"]), (41, [])])
def test_squares_carry_numbers_up_to_forty_classes(tmp_path: Path, num_classes: int, numbers: list[str]) -> None:
    picture = picture_in(html_of(tmp_path, metrics_of_pairs(num_classes, (7, 7), (7, 7), (7, 9))))
    assert re.findall(">([0-9]+)</text>", picture) == numbers


def test_the_most_frequent_confusion_comes_first(tmp_path: Path) -> None:
    html = html_of(tmp_path, metrics_of_pairs(3, (0, 1), (1, 1), (2, 0), (2, 0), (2, 2), (2, 2), (2, 2)))
    assert first_cells(html, "Most frequent confusions") == ["class002", "class000"]
    assert '>class002<td class="name">class000<td>2<td>40%' in html


def test_of_equally_frequent_confusions_the_larger_share_of_its_class_comes_first(tmp_path: Path) -> None:
    html = html_of(tmp_path, metrics_of_pairs(3, (0, 0), (0, 1), (2, 0)))
    assert first_cells(html, "Most frequent confusions") == ["class002", "class000"]


def test_twenty_confusions_are_listed(tmp_path: Path) -> None:
    html = html_of(tmp_path, metrics_of(*[f"class{i}" for i in range(60)]))
    assert len(first_cells(html, "Most frequent confusions")) == 20
    assert "The first 20 of 60 pairs of classes." in html


def test_without_confusions_none_are_listed(tmp_path: Path) -> None:
    assert "Most frequent confusions" not in html_of(tmp_path, metrics_of_pairs(3, (0, 0), (1, 1)))


def test_up_to_twenty_classes_are_in_label_order(tmp_path: Path) -> None:
    html = html_of(tmp_path, metrics_of_pairs(20, (0, 0), (5, 4), (5, 5)))
    assert first_cells(html, "Per-class metrics") == [f"class{i:03}" for i in range(20)]


def test_of_more_classes_the_weakest_come_first_and_the_untested_last(tmp_path: Path) -> None:
    html = html_of(tmp_path, metrics_of_pairs(21, (2, 2), (5, 4), (5, 5), (9, 4)))
    assert first_cells(html, "Per-class metrics")[:4] == ["class009", "class005", "class002", "class000"]
    assert "The 21 classes, lowest recall first." in html
    assert ">class000<td>0<td>0<td>0.00<td>–<td>–</tr>" in html


def test_a_report_of_ucf101s_size_stays_under_200_kb(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    true = draw.integers(0, 101, 3783)
    predicted = np.where(draw.random(3783) < 0.8, true, draw.integers(0, 101, 3783))
    html = html_of(tmp_path, metrics_of_pairs(101, *zip(true.tolist(), predicted.tolist(), strict=True)))
    assert len(html.encode()) < 200_000


def test_clips_that_failed_are_listed_with_their_cause(tmp_path: Path) -> None:
    failed = FailedClip(source="bad.avi", message="bad.avi: the file is empty")
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run", failed=(failed,)))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>1</b>failed clips" in html
    assert "<li>bad.avi: the file is empty</li>" in html


def test_of_many_clips_that_failed_the_first_fifty_are_listed(tmp_path: Path) -> None:
    failed = tuple(FailedClip(source=f"{i}.avi", message=f"{i}.avi: the file is empty") for i in range(51))
    html = html_of(tmp_path, metrics_of("walk", "run", failed=failed))
    assert "The first 50 of 51; metrics.json lists all of them." in html
    assert "<li>49.avi: the file is empty</li>" in html
    assert "50.avi" not in html


def test_of_many_notes_the_first_fifty_are_shown(tmp_path: Path) -> None:
    html = html_of(tmp_path, metrics_of("walk", "run"), notes=[f"note {i}." for i in range(51)])
    assert [f"note {i}." in html for i in range(51)] == [True] * 50 + [False]
    assert "1 more notes are not shown" in html


def test_the_same_figures_give_the_same_pictures(tmp_path: Path) -> None:
    for name in ("first.html", "again.html"):
        write_report(tmp_path / name, title="Walkers", metrics=metrics_of("walk", "run"), epochs=[epoch(1)])
    shown = [re.findall(r">([^<]+)</text>", (tmp_path / name).read_text()) for name in ("first.html", "again.html")]
    assert shown[0] == shown[1] != []


def test_a_report_replaces_an_older_one_and_leaves_no_draft(tmp_path: Path) -> None:
    for title in ("Older", "Newer"):
        write_report(tmp_path / "report.html", title=title, metrics=metrics_of("walk", "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "<h1>Newer</h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_report_into_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderUnusableError, match=r"report\.html: cannot be written \(No such file or directory\)"):
        write_report(tmp_path / "nowhere/report.html", title="Walkers", metrics=metrics_of("walk", "run"))


@pytest.mark.parametrize("label", ["$x$", "$_$", r"$\foo$", "走る"])
def test_a_label_is_drawn_as_it_is(tmp_path: Path, label: str) -> None:
    assert picture_in(html_of(tmp_path, metrics_of(label, "run"))).count(f">{label}</span>") == 2


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(RunFolderUnusableError, match=r"report\.html: cannot be written"):
        write_report(tmp_path / "taken/report.html", title="Walkers", metrics=metrics_of("walk", "run"))


def result_of(source: str, truth: str, *ranked: tuple[str, float]) -> ClipResult:
    return ClipResult(source, (truth,), tuple(LabelScore(label=label, score=score) for label, score in ranked))


def test_clips_that_can_be_read_are_shown_with_a_thumbnail(tmp_path: Path) -> None:
    seen = write_clip(tmp_path / "seen.mp4", 5)
    clips = [result_of(str(seen), "walk", ("run", 0.9), ("walk", 0.1)), result_of("gone.mp4", "run", ("run", 0.6))]
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run"), clips=clips)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    errors, uncertain = html[html.index("<h2>Most confident errors</h2>") :].split("<h2>Lowest-confidence clips</h2>")
    assert errors.count('<img src="data:image/jpeg;base64,') == 1
    assert "predicted run 0.90" in errors
    assert "then walk 0.10" in errors
    assert uncertain.count("no thumbnail") == 1
    assert uncertain.index("gone.mp4") < uncertain.index("seen.mp4")


def test_twelve_clips_of_each_kind_are_shown(tmp_path: Path) -> None:
    clips = [
        result_of(str(write_clip(tmp_path / f"{i:02}.mp4", 3, first_number=i)), "walk", ("run", 0.5 + i / 100))
        for i in range(30)
    ]
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run"), clips=clips)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    errors, uncertain = html[html.index("<h2>Most confident errors</h2>") :].split("<h2>Lowest-confidence clips</h2>")
    assert re.findall(r">(\d\d)\.mp4<", errors) == [f"{i}" for i in range(29, 17, -1)]
    assert re.findall(r">(\d\d)\.mp4<", uncertain) == [f"{i:02}" for i in range(12)]


def test_the_dataset_is_summarized(tmp_path: Path) -> None:
    train = [LabelledClip(Path(f"{i}"), "walk" if i else "run", f"g{i % 2}") for i in range(5)]
    write_report(
        tmp_path / "report.html",
        title="Walkers",
        metrics=metrics_of("walk", "run"),
        parts={"train": train, "validation": [LabelledClip(Path("a"), "walk", None)], "test": []},
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '<td class="name">train<td>5<td>2<td>2<td>1 to 4</tr>' in html
    assert '<td class="name">validation<td>1<td>–<td>1<td>1</tr>' in html
    assert first_cells(html, "Data") == ["train", "validation"]


def test_what_held_the_run_up_and_where_it_ran_have_their_places(tmp_path: Path) -> None:
    write_report(
        tmp_path / "report.html",
        title="Walkers",
        metrics=metrics_of("walk", "run"),
        bottleneck="Decoding held it up.",
        environment={"torch": "2.11.0"},
    )
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<p>Decoding held it up.</p>" in html
    assert '<th class="name" scope="row">torch<td class="name">2.11.0</tr>' in html


def test_figures_stand_with_their_intervals(tmp_path: Path) -> None:
    metrics = metrics_of("walk", "run", "sit")
    assert f"<small>95 %: {metrics.top1_interval}</small>" in html_of(tmp_path, metrics)
