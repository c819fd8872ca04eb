from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from videoclf.errors import RunFolderUnusable
from videoclf.evaluation.metrics import FailedClip, Metrics, compute_metrics
from videoclf.evaluation.report import EpochRecord, write_report

HOSTILE = "<script>alert('x')</script>&amp;"


def metrics_of(*labels: str, failed: tuple[FailedClip, ...] = ()) -> Metrics:
    """Two clips of each class: one right, one taken for the next class."""
    num = len(labels)
    scores = np.concatenate([np.eye(num), np.roll(np.eye(num), 1, axis=1)])
    return compute_metrics(scores, [*range(num), *range(num)], labels, failed)


def epoch(number: int) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        train_loss=1 / number,
        validation_loss=1.5 / number,
        validation_top1=0.5,
        learning_rate=1e-3,
        seconds=2.0,
    )


def test_the_figures_stand_in_the_report(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run", "sit"))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    for text in ("<h1>Walkers</h1>", "top-1 (3 of 6)", "<b>0.500</b>", "<td>walk<td>2<td>1<td>0.50"):
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
    assert {target[:5] for pair in links for target in pair if target and target[0] != "#"} == {"data:"}


@pytest.mark.parametrize("num_epochs", [0, 1, 5])
def test_curves_are_drawn_where_there_are_epochs(tmp_path: Path, num_epochs: int) -> None:
    epochs = [epoch(i + 1) for i in range(num_epochs)]
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run"), epochs=epochs)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("<svg") == (2 if num_epochs else 1)
    assert ("<h2>Training</h2>" in html) is bool(num_epochs)


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
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "cost $5", "é & ü"))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    svg = html[html.index("<svg") :]
    for label in ("walk", "cost $5", "é &amp; ü"):
        assert svg.count(f">{label}</text>") == 2


def test_sixty_classes_are_drawn_without_numbers_in_the_cells(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of(*[f"class{i}" for i in range(60)]))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    svg = html[html.index("<svg") :]
    assert svg.count(">class59</text>") == 2
    assert ">1</text>" not in svg


def test_clips_that_failed_are_listed_with_their_cause(tmp_path: Path) -> None:
    failed = FailedClip(source="bad.avi", message="bad.avi: the file is empty")
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of("walk", "run", failed=(failed,)))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<b>1</b>clips failed" in html
    assert "<li>bad.avi: the file is empty</li>" in html


def test_the_same_figures_give_the_same_pictures(tmp_path: Path) -> None:
    for name in ("first.html", "again.html"):
        write_report(tmp_path / name, title="Walkers", metrics=metrics_of("walk", "run"))
    shown = [re.findall(r">([^<]+)</text>", (tmp_path / name).read_text()) for name in ("first.html", "again.html")]
    assert shown[0] == shown[1] != []


def test_a_report_replaces_an_older_one_and_leaves_no_draft(tmp_path: Path) -> None:
    for title in ("Older", "Newer"):
        write_report(tmp_path / "report.html", title=title, metrics=metrics_of("walk", "run"))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "<h1>Newer</h1>" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_report_into_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderUnusable, match=r"report\.html: cannot be written \(No such file or directory\)"):
        write_report(tmp_path / "nowhere/report.html", title="Walkers", metrics=metrics_of("walk", "run"))


@pytest.mark.parametrize("label", ["$x$", "$_$", r"$\foo$", "走る"])
def test_a_label_is_drawn_as_it_is(tmp_path: Path, label: str) -> None:
    write_report(tmp_path / "report.html", title="Walkers", metrics=metrics_of(label, "run"))
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count(f">{label}</text>") == 2


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(RunFolderUnusable, match=r"report\.html: cannot be written"):
        write_report(tmp_path / "taken/report.html", title="Walkers", metrics=metrics_of("walk", "run"))
