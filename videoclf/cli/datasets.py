"""``videoclf datasets``: public datasets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from videoclf.cli.console import print_result, print_table
from videoclf.cli.options import Json

if TYPE_CHECKING:
    from videoclf.data.manifest import Manifest


def datasets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Show how to obtain this dataset, how to arrange it, and how to train on it."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List public datasets; with NAME, show how to obtain one and how to train on it.

    Nothing is downloaded.
    """
    from videoclf.data.manifest import load_manifest, manifest_names

    manifests = [load_manifest(each) for each in ([name] if name is not None else manifest_names())]
    if as_json:
        for manifest in manifests:
            print_result(manifest.model_dump_json())
    elif name is None:
        _print_table(manifests)
    else:
        _print_details(manifests[0])


def _print_table(manifests: list[Manifest]) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("name", no_wrap=True)
    table.add_column("title", no_wrap=True)
    table.add_column("classes", no_wrap=True, justify="right")
    table.add_column("clips", no_wrap=True, justify="right")
    table.add_column("splits")
    for manifest in manifests:
        splits = ", ".join(split.name for split in manifest.splits)
        table.add_row(manifest.name, manifest.title, str(len(manifest.classes)), f"{manifest.num_clips:,}", splits)
    print_table(table)
    print_result("Where to obtain them:")
    for manifest in manifests:
        print_result(f"  {manifest.name:12} {manifest.url}")  # in the table, a narrow terminal would break it up


def _print_details(manifest: Manifest) -> None:
    print_result(f"{manifest.title}: {len(manifest.classes)} classes, {manifest.num_clips:,} clips · {manifest.url}")
    _print_section("How to obtain it", [manifest.how_to_get])
    _print_section("How to arrange it", manifest.layout)
    _print_section("How clips are named", [manifest.naming.example, manifest.naming.pattern])
    _print_section(
        "Splits",
        [
            f"{split.name:12}{split.num_train:>9,} train {split.num_test:>9,} test   {', '.join(split.files)}"
            for split in manifest.splits
        ],
    )
    _print_section("How to train on it", manifest.commands)


def _print_section(title: str, lines: Iterable[str]) -> None:
    print_result("")
    print_result(f"{title}:")
    for line in lines:
        print_result(f"  {line}")
