"""`evenhand models sync` tells MLflow which versions there are and which is champion; `page` shows what it knows."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.output import Json, note, result

if TYPE_CHECKING:
    from adapters.mlflow.tracking import Tracking

EVERY_S = 5.0


def register(group: typer.Typer) -> None:
    """Add the commands to the group of models."""
    group.command()(sync)
    group.command()(page)


def sync(
    follow: Annotated[bool, typer.Option("--follow", help="Go on, and tell every change of an alias")] = False,
    json: Json = False,
) -> None:
    """Tell MLflow the versions of the store and the aliases that hold, and send what could not be sent before."""
    from evenhand.cli.exits import UNREACHABLE
    from evenhand.cli.tracking import tracking
    from evenhand.errors import EvenhandError

    told: dict[str, Any] = {"registered": [], "aliases": {}}
    with tracking() as tracked:
        if tracked is None:
            raise typer.Exit(UNREACHABLE)
        told["registered"] = _versions(tracked)
        told["aliases"] = _aliases(tracked, {})
        while follow:
            time.sleep(EVERY_S)
            try:
                told["aliases"] = _aliases(tracked, told["aliases"])
            except EvenhandError as error:
                note(f"what holds is not known now: {error}")
    told["waiting"] = tracked.left
    result(told, json, lambda: f"registered {', '.join(told['registered']) or 'nothing new'}; "
           + "; ".join(f"{model}: {held}" for model, held in told["aliases"].items()))  # fmt: skip
    if tracked.left:
        raise typer.Exit(UNREACHABLE)


def page(port: Annotated[int, typer.Option(help="Of loopback")] = 5000) -> None:
    """Serve MLflow's page of this folder's runs until it is interrupted."""
    import os

    from evenhand.cli.loop import home_folder
    from evenhand.errors import InvalidConfiguration

    home = home_folder()
    from adapters.mlflow.server import server_command

    if not (home / "mlflow.db").exists():
        raise InvalidConfiguration(
            f"nothing was tracked in {home}: `evenhand train` does, unless MLFLOW_TRACKING_URI names another MLflow"
        )
    note(f"http://127.0.0.1:{port}")
    command = server_command(home, port)
    os.execv(command[0], command)  # noqa: S606  there is no shell


def _versions(tracked: "Tracking") -> list[str]:
    """Register what MLflow has not got, each version in a run whose id follows from its digest."""
    from evenhand.cli.loop import model_store
    from evenhand.codec import stable_id
    from trainer.tracking import log_version

    store, told = model_store(), []
    for name in store.models():
        for version in store.versions(name):
            if tracked.registry.number(name, version) is None:
                run = stable_id("version", name, version, store.describe(name, version).digest)
                with tracked.start_run(f"{name} {version}", run=run, tags={"model": name}) as begun:
                    log_version(begun, store, name, version)
                told.append(f"{name}@{version}")
    return told


def _aliases(tracked: "Tracking", known: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Tell what holds, where that is something else than what was told; what holds no more is taken away."""
    from evenhand.cli.models import all_aliases
    from evenhand.holdings import alias_changes

    held = all_aliases(sure=True)
    for name, now in held.items():
        before = known[name] if name in known else dict.fromkeys(tracked.registry.aliases(name), "")
        for alias, version in alias_changes(before, now):
            tracked.alias(name, alias, version)
            note(f"{name}: {alias} is {version or 'nobody'}")
    return held
