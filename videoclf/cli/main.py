"""The command ``videoclf``: its commands, exit codes, and errors in one line."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from videoclf.cli import (
    check,
    compare,
    crossval,
    datasets,
    demo_data,
    evaluate,
    export,
    extract,
    info,
    models,
    predict,
    train,
)
from videoclf.cli.console import print_error
from videoclf.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from videoclf.errors import (
    DeviceUnavailableError,
    EngineUnavailableError,
    RecipeInvalidError,
    UsageInvalidError,
    VideoclfError,
)
from videoclf.option_names import as_flags


class _Commands(TyperGroup):
    """Turns an exception of a command into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with as_flags():
                return super().invoke(ctx)
        except (
            UsageInvalidError,
            RecipeInvalidError,
            DeviceUnavailableError,
            EngineUnavailableError,
        ) as error:  # asked for something impossible
            print_error(str(error))
            raise typer.Exit(EXIT_USAGE) from error
        except VideoclfError as error:
            print_error(str(error))
            raise typer.Exit(EXIT_FAILED) from error
        except KeyboardInterrupt as error:  # from a command that cleaned up first
            print_error(str(error) or "interrupted")
            raise typer.Exit(getattr(error, "exit_code", EXIT_INTERRUPTED)) from error
        except BrokenPipeError as error:  # the reader of our output has gone, as `| head` does
            _drop_output()
            raise typer.Exit(EXIT_FAILED) from error
        except OSError as error:
            _drop_output()
            print_error(f"{error.filename or 'output'}: {error.strerror}; check the path, its permissions and its disk")
            raise typer.Exit(EXIT_FAILED) from error


def _drop_output() -> None:
    """Standard output accepts nothing more; the rest of its buffer must not fail again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all done · 1 an input failed (the others were processed) · 2 wrong usage · 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"videoclf {version('videoclf')}")
        raise typer.Exit


@app.callback()
def _describe(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Classify videos with a CNN and a GRU: predict, train and evaluate, offline."""


app.command("predict")(predict.predict)
app.command("train")(train.train)
app.command("crossval")(crossval.crossval)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("extract")(extract.extract)
app.command("export")(export.export)
app.command("check")(check.check)
app.command("demo-data")(demo_data.demo_data)
app.command("datasets")(datasets.datasets)
app.command("models")(models.models)
app.command("info")(info.info)


def run_commands() -> None:
    """Parse the command line and run the command."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # any of them may have been closed
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  (open until the end)
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)  # file names may not be UTF-8, terminals may support only ASCII
    app()
