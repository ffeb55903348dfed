"""Puts the commands together, and turns expected failures into a message and an exit code."""

import importlib
import importlib.util
import os
import sys
from typing import Annotated

import typer

import evenhand
from evenhand.cli import (
    config,
    dead_letters,
    doctor,
    drift,
    exits,
    experiment,
    exporter,
    health,
    judge,
    models,
    plan,
    produce,
    report,
    simulate,
    status,
    tail,
    topics,
    up,
    worker,
)
from evenhand.cli.output import be_quiet, complain

GROUPS = (
    up,
    status,
    doctor,
    worker,
    exporter,
    health,
    topics,
    produce,
    tail,
    experiment,
    plan,
    report,
    simulate,
    judge,
    models,
    drift,
    config,
    dead_letters,
)
MORE = ("demo", "replay", "train", "notifier", "alerts")  # registered where they are there

app = typer.Typer(
    name="evenhand",
    help="A fair trial for live models: events in, decisions out, on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(evenhand.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[  # noqa: ARG001 - Typer calls its callback
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No notes on stderr, only errors.")] = False,
) -> None:
    """Options before any command."""
    if quiet:
        be_quiet()


for _group in GROUPS:
    _group.register(app)
for _name in MORE:
    if importlib.util.find_spec(f"evenhand.cli.{_name}") is not None:
        _register = getattr(importlib.import_module(f"evenhand.cli.{_name}"), "register", None)
        if _register is not None:
            _register(app)


def run(arguments: list[str]) -> int:
    """Run the command line; its exit status."""
    _read_dotenv()
    try:
        app(arguments, prog_name="evenhand")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else exits.FAILED if done.code else exits.OK
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except Exception as error:
        code = exits.code_of(error)
        if code is None or os.environ.get("EVENHAND_TRACEBACK"):
            raise
        complain(str(error) or type(error).__name__)
        return code
    return exits.OK


def _read_dotenv() -> None:
    """Settings of the file `.env` in the current folder, where the environment does not have them."""
    from evenhand.cli.settings import read_dotenv

    for name, value in read_dotenv().items():
        os.environ.setdefault(name, value)
