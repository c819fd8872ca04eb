from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table

import videoclf.cli
from videoclf.cli.console import print_error, print_notice, print_table
from videoclf.cli.plain_console import PlainConsole

FOREIGN = "[/close] [link=http://elsewhere.example]a[/link] [red]b :smile: \x1b[31m\u202e\n"
SHOWN = r"[/close] [link=http://elsewhere.example]a[/link] [red]b :smile: \x1b[31m\u202e\n"
MODULES = sorted(Path(videoclf.cli.__path__[0]).glob("*.py"))


@pytest.fixture
def table() -> Table:
    table = Table(title=f"title {FOREIGN}", caption=f"caption {FOREIGN}")
    table.add_column(f"heading {FOREIGN}")
    table.add_column(justify="right", no_wrap=True)
    table.add_row(f"cell {FOREIGN}", f"narrow cell {FOREIGN}")
    return table


@pytest.mark.parametrize("where", ["title", "caption", "heading", "cell", "narrow cell"])
def test_in_every_place_of_a_table_text_stands_as_it_is(
    table: Table, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    print_table(table)
    assert f"{where} {SHOWN}" in capsys.readouterr().out


@pytest.mark.parametrize("say", [print_error, print_notice])
def test_a_message_is_one_line_as_it_is(capsys: pytest.CaptureFixture[str], say: object) -> None:
    say(FOREIGN)  # type: ignore[operator]
    out = capsys.readouterr().err
    assert out.endswith(f": {SHOWN}\n")
    assert out.count("\n") == 1


def test_without_a_terminal_a_long_cell_keeps_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("class")
    table.add_row(f"{'w' * 200}!")
    print_table(table)
    assert f"{'w' * 200}!" in capsys.readouterr().out


def test_on_a_terminal_a_long_cell_goes_on_in_the_next_line(monkeypatch: pytest.MonkeyPatch) -> None:
    console = PlainConsole(file=io.StringIO(), width=60, force_terminal=True, soft_wrap=True)
    monkeypatch.setattr("videoclf.cli.console.output", lambda: console)
    table = Table("class")
    table.add_row(f"{'w' * 200}!")
    print_table(table)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert (shown.count("w"), shown.count("!"), shown.count("…")) == (200, 1, 0)


def test_no_command_goes_around_it() -> None:
    """What `PlainConsole` prints is safe, also where a caller did not think of it; so each must print through it."""
    around = {"Console", "Text", "print", "print_json", "from_markup", "render", "escape"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                allowed = {"Console", "Text"} if path.name in {"plain_console.py", "console.py"} else set()
                assert {alias.name for alias in node.names} & around <= allowed, path


def test_every_column_of_text_in_a_progress_bar_leaves_markup_alone() -> None:
    from videoclf.cli.console import ProgressBar

    inner: Progress = ProgressBar()._progress
    assert all(not column.markup for column in inner.columns if isinstance(column, TextColumn))
