"""Comparisons of folders as `train`, `evaluate` and `crossval` leave them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import videoclf
from videoclf.errors import ResultsInvalidError, UsageInvalidError
from videoclf.evaluation.cross_validated import ClipScores, FoldRecord, pool
from videoclf.evaluation.metrics import compute_metrics
from videoclf.inference.prediction import LabelScore, Prediction
from videoclf.results.compare import Comparison, compare
from videoclf.results.comparison_page import rows_of, write_comparison
from videoclf.results.evaluate import write_predictions

LABELS = ("walk", "run")


def write_run(folder: Path, are_right: Sequence[bool], recipe: str = "", first: int = 0) -> Path:
    """A run over the clips ``{first}.avi``, ..., all of them walking."""
    folder.mkdir()
    metrics = compute_metrics(np.eye(2)[[0 if right else 1 for right in are_right]], [0] * len(are_right), LABELS)
    about = {"format_version": 1, "data": "walkers", "judged_on": "test", "split": {"spec": "group:0", "num_test": 9}}
    (folder / "metrics.json").write_text(json.dumps(about | metrics.model_dump()))
    outcomes = [
        Prediction(
            source=f"{number}.avi", labels=(LabelScore(label=LABELS[not right], score=0.9),), uncertain=False,
            warnings=(), model="m", duration_seconds=1.0, num_frames=8,
        )
        for number, right in enumerate(are_right, first)
    ]  # fmt: skip
    write_predictions(folder / "predictions.jsonl", outcomes, [("walk",)] * len(outcomes))
    if recipe:
        (folder / "recipe.toml").write_text(recipe)
    return folder


def write_crossval(folder: Path, right_by_seed: Sequence[Sequence[bool]], group_size: int = 1) -> Path:
    """A cross-validation over the same clips, in groups of so many."""
    folder.mkdir()
    records = [
        FoldRecord(
            fold="0", seed=seed, num_train=1, num_validation=1, validation_top1=1, validation_nll=1, kept_epoch=1,
            temperature=1, threshold=0, seconds=1, failed=(),
            clips=tuple(
                ClipScores(
                    source=f"{number}.avi", label="walk", group=f"g{number // group_size}", fold="0", seed=seed,
                    is_known=True, predicted=LABELS[not right], score=1, uncertain=False,
                    scores=(float(right), float(not right)), uncalibrated_scores=(float(right), float(not right)),
                )
                for number, right in enumerate(are_right)
            ),
        )
        for seed, are_right in enumerate(right_by_seed)
    ]  # fmt: skip
    (folder / "metrics.json").write_text(pool(records, LABELS, data="walkers").model_dump_json())
    clips = [clip for record in records for clip in record.clips]
    (folder / "predictions.jsonl").write_text("".join(f"{clip.model_dump_json()}\n" for clip in clips))
    return folder


def test_figures_stand_side_by_side(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "one", [True, True, False, False]), write_run(tmp_path / "two", [True] * 4)
    runs = compare([one, two]).runs
    assert [(run.run, run.evaluated_on, run.num_clips, run.top1) for run in runs] == [
        (str(one), "walkers, test of group:0", 4, 0.5), (str(two), "walkers, test of group:0", 4, 1.0),
    ]  # fmt: skip
    assert runs[0].top1_interval is not None
    assert runs[0].top1_interval.low < 0.5 < runs[0].top1_interval.high


def test_only_the_keys_that_differ_are_named(tmp_path: Path) -> None:
    recipe = 'description = "{}"\n[training]\nepochs = {}\nseed = 0\n[temporal]\nkind = "gru"\n'
    one = write_run(tmp_path / "one", [True], recipe.format("first", 5))
    two = write_run(tmp_path / "two", [True], recipe.format("second", 9) + "hidden_size = 8\n")
    bare = write_run(tmp_path / "bare", [True])
    assert [run.recipe for run in compare([one, two, bare]).runs] == [
        {"training.epochs": 5}, {"training.epochs": 9, "temporal.hidden_size": 8}, {},
    ]  # fmt: skip


def test_two_runs_on_the_same_clips_are_compared_clip_by_clip(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", [True] * 60 + [False] * 20 + [False] * 20)
    two = write_run(tmp_path / "two", [True] * 55 + [False] * 5 + [True] * 20 + [False] * 20)
    (pair,) = compare([one, two]).pairs
    assert (pair.first, pair.second, pair.num_clips) == (1, 2, 100)
    assert (pair.num_only_first, pair.num_only_second) == (5, 20)
    assert pair.difference == pytest.approx(0.15)
    # of 100 clips, gains of +1 (20), -1 (5), 0: a deviation of sqrt(0.25 - 0.15²) / 10 = 0.048
    assert (pair.interval.low, pair.interval.high) == pytest.approx(
        (0.15 - 1.96 * 0.048, 0.15 + 1.96 * 0.048), abs=0.02
    )


def test_only_the_clips_that_both_were_evaluated_on_count(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", [True, True, False])
    two = write_run(tmp_path / "two", [True, True, True], first=2)
    apart = write_run(tmp_path / "apart", [True], first=9)
    (pair,) = compare([one, two, apart]).pairs
    assert (pair.num_clips, pair.difference, pair.interval.low, pair.interval.high) == (1, 1, 1, 1)


def test_names_that_are_no_utf_8_are_compared_too(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "one", [True]), write_run(tmp_path / "two", [False])
    for run in (one, two):
        text = (run / "predictions.jsonl").read_text()
        (run / "predictions.jsonl").write_text(text.replace("0.avi", "\\udcff.avi"))
    assert compare([one, two]).pairs[0].num_only_first == 1


def test_a_cross_validation_is_compared_over_its_seeds_and_by_whole_groups(tmp_path: Path) -> None:
    right, wrong = [True] * 40, [True] * 20 + [False] * 20
    run = write_run(tmp_path / "run", wrong)
    by_clip = compare([run, write_crossval(tmp_path / "clips", [right, wrong])])
    by_group = compare([run, write_crossval(tmp_path / "groups", [right, wrong], group_size=10)])
    assert by_clip.runs[1].evaluated_on == "walkers, 1 folds, 2 seeds"
    assert by_clip.pairs[0].difference == by_group.pairs[0].difference == 0.25
    assert (by_clip.pairs[0].num_only_first, by_clip.pairs[0].num_only_second) == (0, 20)
    widths = [each.pairs[0].interval.high - each.pairs[0].interval.low for each in (by_clip, by_group)]
    assert widths[1] > 2 * widths[0]


def test_what_older_versions_wrote_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    old, new = write_run(tmp_path / "old", [True, False]), write_run(tmp_path / "new", [True, True])
    tree = json.loads((old / "metrics.json").read_text())
    for key in ("data", "top1_interval", "mean_class_accuracy_interval"):
        del tree[key]
    (old / "metrics.json").write_text(json.dumps(tree))
    (old / "predictions.jsonl").write_text((old / "predictions.jsonl").read_text().replace('"truth"', '"other"'))
    comparison = compare([old, new])
    assert comparison.pairs == ()
    assert comparison.runs[0].evaluated_on == "unknown data, test of group:0"
    assert dict(rows_of(comparison))["top-1, 95 %"][0] == "–"


def _without(name: str) -> object:
    return lambda folder: (folder / name).unlink()


def _with(name: str, content: str) -> object:
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_without("metrics.json"), r"bad: contains no metrics\.json; name a folder written by train, evaluate out or"),
        (_with("metrics.json", '{"top1": 0.'), r"metrics\.json: cannot be read as JSON \(.*\); write it again"),
        (_with("metrics.json", "[" * 100_000), r"metrics\.json: cannot be read as JSON \(.*\); write it again"),
        (_with("metrics.json", "[1]"), r"metrics\.json: was not written by train, evaluate or crossval;"),
        (
            _with("metrics.json", '{"loss": 1}'),
            r"metrics\.json: was not written by .* \(num_clips is missing \(and \d+ more",
        ),
        (_with("metrics.json", '{"pooled": 1}'), r"metrics\.json: was not written by train, evaluate or crossval \("),
        (
            _with("predictions.jsonl", '{"source": "a"}\n{"sour'),
            r"predictions\.jsonl, line 2: was not .*Unterminated",
        ),
        (
            _with("predictions.jsonl", '{"loss": 1}'),
            r"predictions\.jsonl, line 1: was not written by .*source is missing",
        ),
        (_with("recipe.toml", "epochs = "), r"recipe\.toml: is not TOML \(.*\); correct or remove it"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, spoil: object, complaint: str) -> None:
    good, bad = write_run(tmp_path / "good", [True]), write_run(tmp_path / "bad", [True])
    spoil(bad)  # type: ignore[operator]
    with pytest.raises(ResultsInvalidError, match=complaint) as caught:
        compare([good, bad])
    assert "\n" not in str(caught.value)


def test_one_run_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(UsageInvalidError, match=r"compare runs/a: needs at least two runs; name another folder"):
        compare(["runs/a"])


def test_a_comparison_is_plain_json(tmp_path: Path) -> None:
    comparison = compare([write_run(tmp_path / "one", [True, False]), write_run(tmp_path / "two", [True, True])])
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison
    assert '"judged_on":"walkers, test of group:0"' in comparison.model_dump_json()
    assert comparison.runs[0].judged_on == comparison.runs[0].evaluated_on


def test_the_page_holds_the_table_the_plot_and_the_pairs(tmp_path: Path) -> None:
    one = write_run(tmp_path / "<script>", [True, False], "[training]\nepochs = 5\n")
    two = write_run(tmp_path / "走る $x", [True, True], "[training]\nepochs = 9\n")
    comparison = compare([one, two])
    write_comparison(tmp_path / "compare.html", comparison)
    html = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert '<th class="name" scope="row">training.epochs<td>5<td>9</tr>' in html
    assert html.count("<svg") == 1
    assert "<li>2 vs. 1 on 2 clips: top-1 +0.500" in html


def test_it_is_a_public_name() -> None:
    assert videoclf.compare is compare


def test_runs_on_other_clips_are_reported_first(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "one", [True] * 4), write_run(tmp_path / "two", [True] * 4, first=2)
    comparison = compare([one, two])
    assert comparison.warnings == (
        "1 and 2 were tested on different clips (2 in common, 2 only in 1, 2 only in 2), so their figures are not "
        "comparable; see the difference on the common clips",
    )
    write_comparison(tmp_path / "page.html", comparison)
    page = (tmp_path / "page.html").read_text()
    assert 0 < page.index("1 and 2 were tested on different clips") < page.index("<table>")


def test_runs_on_the_same_clips_warn_of_nothing(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, [True] * 4) for name in ("one", "two")]
    assert compare(runs).warnings == ()


def test_runs_without_predictions_are_compared_by_their_datasets(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "one", [True] * 4), write_run(tmp_path / "two", [True] * 5)
    (two / "predictions.jsonl").unlink()
    (warning,) = compare([one, two]).warnings
    assert warning.endswith(
        "(walkers, test of group:0; walkers, test of group:0), so their figures are not comparable; "
        "evaluate both on the same clips"
    )
