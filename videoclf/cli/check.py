"""``videoclf check``: validate a dataset before training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoclf.cli.console import ProgressDisplay, print_error, print_notice, print_result, print_table
from videoclf.cli.exit_codes import EXIT_FAILED
from videoclf.cli.options import (
    CheckedSplit,
    Data,
    Decoder,
    GroupRegex,
    Isolate,
    Json,
    Limit,
    SplitFiles,
    Workers,
    check_overwrite,
    num_threads,
    read_options,
)
from videoclf.files import refuse_to_replace, refuse_unwritable
from videoclf.media.options import DecoderName

if TYPE_CHECKING:
    from videoclf.data_check.findings import CheckReport, ExactDuplicates, NearDuplicatePair

_MAX_LINES = 20
"""Printed lines of each kind of finding; ``--json`` and ``--out`` give all of them."""


def check(
    data: Data,
    split: CheckedSplit = None,
    split_files: SplitFiles = None,
    group_regex: GroupRegex = None,
    near_duplicates: Annotated[
        bool,
        typer.Option(
            "--near-duplicates/--no-near-duplicates",
            help="Also find copies that were re-encoded, scaled, cut or mirrored. Without them, checking is faster.",
        ),
    ] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write check.html and check.json to this folder.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a check in DIR.")] = False,
    workers: Workers = None,
    decoder: Decoder = DecoderName.PYAV,
    isolate: Isolate = False,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """Validate a dataset.

    Every file is decoded to its end. Reports: unusable and repaired clips; outliers; the number of clips of each class;
    exact duplicates; near-duplicates (copies that were re-encoded, scaled, cut or mirrored). With --split also leaks:
    groups, duplicates and near-duplicates on two sides of the split.

    The exit code is 1 if a clip is unusable or the split leaks.
    """
    check_overwrite(out, "--out", overwrite=overwrite)
    with ProgressDisplay() as bar:
        bar.start("reading the list of clips", None)
        from videoclf.data_check.check import check as check_data
        from videoclf.data_check.report import HTML_NAME, JSON_NAME, write_check

        if out is not None:  # before hours of decoding, not after
            refuse_to_replace(out / HTML_NAME, out / JSON_NAME, overwrite=overwrite)
            refuse_unwritable(out)
        found = check_data(
            data,
            split=split,
            split_files=split_files,
            group_regex=group_regex,
            finds_near_duplicates=near_duplicates,
            workers=num_threads(workers),
            reading=read_options(decoder, limit, isolate=isolate),
            progress=bar,
        )
    if out is not None:
        write_check(out, found)
    if as_json:
        print_result(found.report.to_json_line())
    else:
        _print_report(found.report)
        if out is not None:
            print_result(f"report: {out / 'check.html'}")
    if not found.report.is_clean:
        raise typer.Exit(EXIT_FAILED)


def _print_report(report: CheckReport) -> None:
    from videoclf.data_check.report import describe_clips

    _print_classes(report)
    for heading, line in describe_clips(report):
        print_result(f"{heading}: {line}")
    for note in report.notes:
        print_notice(note)
    _print_lines("unusable", [clip.message for clip in report.unusable], is_error=True)
    _print_lines("repaired", [f"{clip.path}: {'; '.join(clip.warnings)}" for clip in report.repaired])
    _print_outliers(report)
    _print_lines("exact duplicates", list(map(_exact_line, report.exact_duplicates)))
    _print_lines("near-duplicates", list(map(_near_line, report.near_duplicates)))
    _print_lines("leaks", [str(leak) for leak in report.leaks], is_error=True)
    print_result(_summary(report))


def _print_classes(report: CheckReport) -> None:
    from rich.table import Table

    table = Table(title=report.source, title_justify="left")
    table.add_column("class")
    columns = ["clips", "usable", *(("train", "validation", "test") if report.split else ()), "minutes"]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for each in report.classes:
        parts = (each.num_train, each.num_validation, each.num_test) if report.split else ()
        counts = map(str, (each.num_clips, each.num_usable, *parts))
        table.add_row(each.label, *counts, f"{each.duration_seconds / 60:.1f}")
    print_table(table)


def _print_outliers(report: CheckReport) -> None:
    """Each kind of outlier with its first clip: there may be thousands of one kind."""
    counts = Counter(clip.kind for clip in report.odd)
    for kind, count in counts.items():
        first = next(clip for clip in report.odd if clip.kind == kind)
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        print_result(f"outlier: {kind}: {first.path}: {first.message}{more}")


def _print_lines(what: str, lines: list[str], *, is_error: bool = False) -> None:
    if not lines:
        return
    print_result(f"{what}: {len(lines):,}")
    for line in lines[:_MAX_LINES]:
        if is_error:
            print_error(line)
        else:
            print_result(f"  {line}")
    if len(lines) > _MAX_LINES:
        print_result(f"  and {len(lines) - _MAX_LINES:,} more; to list all: --json or --out DIR")


def _exact_line(same: ExactDuplicates) -> str:
    more = " = ..." if len(same.paths) > 4 else ""
    return f"{' = '.join(same.paths[:4])}{more}{_classes(same.labels)}"


def _near_line(pair: NearDuplicatePair) -> str:
    mirrored = " mirrored" if pair.is_mirrored else ""
    return (
        f"{pair.first} ~ {pair.second}{mirrored}, {pair.shared_seconds:.1f} s shared, "
        f"difference {pair.difference:.2f}{_classes(pair.labels)}"
    )


def _classes(labels: tuple[str, ...]) -> str:
    return f" (different classes: {', '.join(labels)})" if len(labels) > 1 else ""


def _summary(report: CheckReport) -> str:
    near = f"{len(report.near_duplicates):,}" if report.has_near_duplicates_checked else "unchecked"
    leaks = f" · {len(report.leaks):,} leaks of {report.split.spec}" if report.split else ""
    return (
        f"{report.num_usable:,} of {report.num_clips:,} clips usable · {len(report.repaired):,} repaired · "
        f"{len(report.exact_duplicates):,} exact duplicates · {near} near-duplicates{leaks}"
    )
